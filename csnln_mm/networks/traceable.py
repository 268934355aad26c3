"""Networks for ``torch.export``, ``torch.compile(fullgraph=True)`` and ONNX."""

from typing import TypeVar

from torch import nn

from csnln_mm.networks.cross_scale_attention import CrossScaleNonLocalAttention
from csnln_mm.networks.in_scale_attention import InScaleNonLocalAttention

Network = TypeVar('Network', bound=nn.Module)


def set_traceable(network: Network, traceable: bool = True) -> Network:
    """Have a network compute its attention by operations that can be traced, or no longer.

    The result is the same up to rounding. Memory grows with the square of the map's pixels, so
    this is for tiles: at 64x64 pixels and scale 2 a cross-scale attention takes some matrices of
    16 MiB, an in-scale attention of 64 MiB.

    Args:
        network: with any number of attention modules; changed in place, as by ``eval()``.
        traceable: False for the operators that stream through bounded memory, which is the
            default of a new network.

    Returns:
        ``network``.
    """
    for module in network.modules():
        if isinstance(module, (CrossScaleNonLocalAttention, InScaleNonLocalAttention)):
            module.traceable = traceable
    return network
