"""The attention operators: a reference implementation of each, and a fast form that equals it.

A third form, of operations that compilers and exporters can trace, equals them as well.
"""

from csnln_mm.ops.cross_scale import cross_scale_attention
from csnln_mm.ops.cross_scale_reference import cross_scale_attention_reference
from csnln_mm.ops.cross_scale_traceable import cross_scale_attention_traceable
from csnln_mm.ops.in_scale import in_scale_attention
from csnln_mm.ops.in_scale_reference import in_scale_attention_reference
from csnln_mm.ops.in_scale_traceable import in_scale_attention_traceable

__all__ = [
    'cross_scale_attention',
    'cross_scale_attention_reference',
    'cross_scale_attention_traceable',
    'in_scale_attention',
    'in_scale_attention_reference',
    'in_scale_attention_traceable',
]
