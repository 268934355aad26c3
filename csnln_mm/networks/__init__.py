"""CSNLN and its parts, on torch alone.

Configs, and the configs in checkpoints, can name the classes in
:data:`csnln_mm.networks.build.PARTS`: those that are imported here, and any that further modules
register.
"""

from csnln_mm.networks.bicubic import BicubicUpsampler as BicubicUpsampler
from csnln_mm.networks.build import build_network as build_network
from csnln_mm.networks.build import register_part as register_part
from csnln_mm.networks.cell import Cell as Cell
from csnln_mm.networks.cross_scale_attention import (
    CrossScaleNonLocalAttention as CrossScaleNonLocalAttention,
)
from csnln_mm.networks.csnln_net import CSNLNNet as CSNLNNet
from csnln_mm.networks.enhancers import CrossScaleEnhancer as CrossScaleEnhancer
from csnln_mm.networks.enhancers import SEMEnhancer as SEMEnhancer
from csnln_mm.networks.fusion import AdditionFusion as AdditionFusion
from csnln_mm.networks.fusion import ConcatenationFusion as ConcatenationFusion
from csnln_mm.networks.fusion import MutualProjectedFusion as MutualProjectedFusion
from csnln_mm.networks.in_scale_attention import (
    InScaleNonLocalAttention as InScaleNonLocalAttention,
)
from csnln_mm.networks.sem_cell import SEMCell as SEMCell
