"""Nothing of the size of an attention matrix exists, in training or inference.

That one would be seen is in tests/ops/test_memory.py.
"""

import pytest
import torch
from largest_tensor import LargestTensor

from csnln_mm.networks import CSNLNNet

SIDE = 72
PIXELS = SIDE * SIDE
# The smallest of the attention matrices of x2: pixels against candidates.
MATRIX = PIXELS * PIXELS // 4


def largest_tensor(training, **kwargs):
    torch.manual_seed(0)
    net = CSNLNNet(mid_channels=4, num_recurrences=1, **kwargs).train(training)
    x = torch.rand(1, 3, SIDE, SIDE)
    with LargestTensor() as largest, torch.set_grad_enabled(training):
        y = net(x)
        if training:
            y.mean().backward()
    return largest.elements


@pytest.mark.parametrize('training, with_cp', [(False, False), (True, False), (True, True)])
def test_no_attention_matrix_is_made(training, with_cp):
    assert largest_tensor(training, with_cp=with_cp) < MATRIX / 2


def test_nor_in_regions():
    """One region of the grid attends to itself in pieces, too."""
    grid = dict(in_scale_grid=(1, 2), branches=['in_scale'])
    assert largest_tensor(True, cell=grid) < (PIXELS // 2) ** 2 / 2
