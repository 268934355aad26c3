"""CSNLN and its parts, on torch alone.

Plain data, such as the config in a checkpoint, may choose from the classes in ``__all__``.
"""

from csnln_mm.networks.bicubic import BicubicUpsampler
from csnln_mm.networks.build import build_network
from csnln_mm.networks.cross_scale_attention import CrossScaleNonLocalAttention
from csnln_mm.networks.csnln_net import CSNLNNet
from csnln_mm.networks.enhancers import CrossScaleEnhancer, SEMEnhancer
from csnln_mm.networks.fusion import AdditionFusion, ConcatenationFusion, MutualProjectedFusion
from csnln_mm.networks.in_scale_attention import InScaleNonLocalAttention
from csnln_mm.networks.sem_cell import SEMCell

__all__ = [
    'AdditionFusion',
    'BicubicUpsampler',
    'CSNLNNet',
    'ConcatenationFusion',
    'CrossScaleEnhancer',
    'CrossScaleNonLocalAttention',
    'InScaleNonLocalAttention',
    'MutualProjectedFusion',
    'SEMCell',
    'SEMEnhancer',
    'build_network',
]
