"""The networks and their parts, registered with MMagic."""


from mmagic.registry import MODELS
from torch import nn

from csnln_mm.mmagic.extended_network import extend_network
from csnln_mm.networks.bicubic import BicubicUpsampler
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
    'extend_network',
]


@MODELS.register_module(name='CSNLNEditor')
def _build_editor(
    generator: dict,
    pixel_loss: dict,
    train_cfg: dict | None = None,
    test_cfg: dict | None = None,
    init_cfg: dict | None = None,
    data_preprocessor: dict | None = None,
) -> nn.Module:
    """Its base class costs an import of all models of MMagic, which only a config pays for."""
    from csnln_mm.mmagic.editor import CSNLNEditor

    return CSNLNEditor(generator, pixel_loss, train_cfg, test_cfg, init_cfg, data_preprocessor)
