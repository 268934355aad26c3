"""The attention operators: each by its direct formula and in a fast form that equals it."""
from .cross_scale import cross_scale_attention
from .cross_scale_reference import cross_scale_attention_reference
from .in_scale import in_scale_attention
from .in_scale_reference import in_scale_attention_reference

__all__ = [
    'cross_scale_attention', 'cross_scale_attention_reference', 'in_scale_attention',
    'in_scale_attention_reference'
]
