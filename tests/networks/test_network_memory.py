"""Nothing of the size of an attention matrix exists, in training or inference.

And of large hidden states, where there is no attention, a block at a time.

That one would be seen is in tests/ops/test_memory.py.
"""

import pytest
import torch
from largest_tensor import LargestTensor

from csnln_mm.networks import CSNLNNet, csnln_net

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


@pytest.mark.parametrize('scale', [2, 3, 4])
@pytest.mark.parametrize('branches', [['local'], []])
@torch.no_grad()
def test_hidden_states_are_made_in_blocks_without_a_trace(monkeypatch, scale, branches):
    torch.manual_seed(0)
    options = dict(mid_channels=4, num_recurrences=3, recurrence_skip=True, image_skip=True)
    cell = dict(branches=branches, num_plain_convs=2)
    net = CSNLNNet(upscale_factor=scale, cell=cell, **options).eval()
    for weight in net.parameters():  # so that it matters what lies beyond the border
        weight *= 2
    x = torch.rand(2, 3, 45, 71)
    monkeypatch.setattr(csnln_net, 'UNCUT', 1)
    monkeypatch.setattr(csnln_net, 'BLOCK', 1)  # the smallest blocks: sides of at most 32
    with LargestTensor() as largest:
        watched = net(x)
    unwatched = net(x)  # by other operators
    with torch.enable_grad():
        whole = net(x)
    for blocks in watched, unwatched:
        torch.testing.assert_close(blocks, whole, rtol=1e-5, atol=1e-5)
    assert largest.elements < 2 * 4 * scale**2 * 45 * 71
