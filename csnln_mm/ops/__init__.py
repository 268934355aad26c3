from .cross_scale import cross_scale_attention
from .cross_scale_reference import cross_scale_attention_reference

__all__ = ['cross_scale_attention', 'cross_scale_attention_reference']
