"""Training with the channels of a pixel next to each other, where a CPU is faster so."""

import torch
from torch import Tensor, nn

from csnln_mm.networks import CSNLNNet


def train_channels_last(model: nn.Module) -> None:
    """Make a network without attention train channels last on a CPU, about a sixth faster.

    Only what flows through is laid out so: parameters, and hence checkpoints and what optimizers
    do with them, stay as they are. With attention nothing changes, for such steps took longer.

    Args:
        model: an editor; nothing happens unless its ``generator`` is a CSNLNNet.
    """
    network = getattr(model, 'generator', None)
    if isinstance(network, CSNLNNet) and not any(
        hasattr(m, 'traceable') for m in network.modules()
    ):
        network.register_forward_pre_hook(_channels_last)


def _channels_last(network: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    x, *others = args
    if network.training and x.device.type == 'cpu':
        x = x.contiguous(memory_format=torch.channels_last)
    return x, *others
