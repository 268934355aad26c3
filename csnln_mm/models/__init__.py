from typing import Any

from mmagic.registry import MODELS
from torch import nn

from .bicubic import BicubicUpsampler
from .cross_scale_attention import CrossScaleNonLocalAttention
from .csnln_net import CSNLNNet
from .enhancers import CrossScaleEnhancer, SEMEnhancer
from .extended_network import extend_network
from .fusion import AdditionFusion, ConcatenationFusion, MutualProjectedFusion
from .in_scale_attention import InScaleNonLocalAttention
from .sem_cell import SEMCell

__all__ = [
    'AdditionFusion', 'BicubicUpsampler', 'CSNLNNet', 'ConcatenationFusion', 'CrossScaleEnhancer',
    'CrossScaleNonLocalAttention', 'InScaleNonLocalAttention', 'MutualProjectedFusion', 'SEMCell',
    'SEMEnhancer', 'extend_network'
]


@MODELS.register_module(name='CSNLNEditor')
def _build_editor(**kwargs: Any) -> nn.Module:
    """Its base class costs an import of all models of MMagic, which only a config pays for."""
    from .csnln_editor import CSNLNEditor
    return CSNLNEditor(**kwargs)
