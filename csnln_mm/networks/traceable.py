"""Networks for ``torch.export``, ``torch.compile(fullgraph=True)`` and ONNX."""

from typing import Any, TypeVar, cast

from torch import nn

Network = TypeVar('Network', bound=nn.Module)


def set_traceable(network: Network, traceable: bool = True) -> Network:
    """Choose whether a network computes its attention by operations that can be traced.

    The result is the same up to rounding. Memory grows with the square of the map's pixels, so
    this is for tiles: at 64x64 pixels and scale 2 a cross-scale attention takes some matrices of
    16 MiB, an in-scale attention of 64 MiB.

    Args:
        network: changed in place, as by ``eval()``: all its modules with an attribute
            ``traceable``.
        traceable: False for the operators that stream through bounded memory, which is the
            default of a new network.

    Returns:
        ``network``.
    """
    for module in network.modules():
        if hasattr(module, 'traceable'):
            cast(Any, module).traceable = traceable
    return network
