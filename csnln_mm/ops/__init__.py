"""The attention operators, each in two forms that are equal: the reference and the fast one.

The reference implementation is the definition, in plain operations that compilers and exporters
can trace; the fast form streams through bounded memory.
"""

from csnln_mm.ops.cross_scale import cross_scale_attention
from csnln_mm.ops.cross_scale_reference import cross_scale_attention_reference
from csnln_mm.ops.in_scale import in_scale_attention
from csnln_mm.ops.in_scale_reference import in_scale_attention_reference

__all__ = [
    'cross_scale_attention',
    'cross_scale_attention_reference',
    'in_scale_attention',
    'in_scale_attention_reference',
]
