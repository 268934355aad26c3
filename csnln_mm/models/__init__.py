"""The networks and their parts, registered with MMagic."""
from typing import Optional

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
def _build_editor(generator: dict,
                  pixel_loss: dict,
                  train_cfg: Optional[dict] = None,
                  test_cfg: Optional[dict] = None,
                  init_cfg: Optional[dict] = None,
                  data_preprocessor: Optional[dict] = None) -> nn.Module:
    """Its base class costs an import of all models of MMagic, which only a config pays for."""
    from .csnln_editor import CSNLNEditor
    return CSNLNEditor(generator, pixel_loss, train_cfg, test_cfg, init_cfg, data_preprocessor)
