"""Nothing of the size of the matrix of weights is made, in either pass."""

import pytest
import torch
from attention_inputs import cross_scale_inputs, in_scale_inputs
from largest_tensor import LargestTensor

from csnln_mm import ops
from csnln_mm.ops.cross_scale import choose_tile
from csnln_mm.ops.in_scale import choose_in_scale_tile


def largest_in_each_pass(operator, inputs, **options):
    with LargestTensor() as forward:
        out = operator(*inputs, **options)
    with LargestTensor() as backward:
        torch.autograd.grad(out.sum(), inputs)
    return forward.elements, backward.elements


# A map large enough for the default tile to be a small part of it, and tiles on small maps.
@pytest.mark.parametrize(
    'size, tile, scale', [((72, 72), None, 2), ((24, 20), (4, 20), 3), ((24, 20), (3, 5), 2)]
)
def test_cross_scale_attention(size, tile, scale):
    inputs = cross_scale_inputs(size, scale, embed=4, channels=2, dtype=torch.float32)
    matrix = inputs[0][0, 0].numel() * inputs[1][0, 0].numel()
    for elements in largest_in_each_pass(ops.cross_scale_attention, inputs, scale=scale, tile=tile):
        assert 0 < elements < matrix / 2


@pytest.mark.parametrize('size, tile', [((72, 72), None), ((24, 20), 50)])
def test_in_scale_attention(size, tile):
    inputs = in_scale_inputs(size, embed=4, channels=2, dtype=torch.float32)
    matrix = inputs[0][0, 0].numel() ** 2
    for elements in largest_in_each_pass(ops.in_scale_attention, inputs, tile=tile):
        assert 0 < elements < matrix / 2


def test_the_reference_implementations_are_caught():
    inputs = cross_scale_inputs((24, 20), 2, embed=4, dtype=torch.float32)
    for elements in largest_in_each_pass(ops.cross_scale_attention_reference, inputs, scale=2):
        assert elements >= 24 * 20 * 12 * 10
    inputs = in_scale_inputs((24, 20), dtype=torch.float32)
    for elements in largest_in_each_pass(ops.in_scale_attention_reference, inputs):
        assert elements >= (24 * 20) ** 2


@pytest.mark.parametrize('scale', [2, 3, 4])
@pytest.mark.parametrize('side', [128, 192, 512, 2048])
def test_a_tile_grows_with_the_map_not_with_its_square(scale, side):
    """Twice the side: 16 times the matrix, 4.5 times the largest part of it, or 64 MB at most."""
    cpu = torch.device('cpu')

    def largest(side):
        key_side = -(-side // scale)
        tile = choose_tile((side, side), (key_side, key_side), 3, cpu)
        return (tile.rows + 4) * min(side, tile.columns + 4) * key_side**2

    assert largest(2 * side) <= max(4.5 * largest(side), 2**24)
    assert choose_in_scale_tile(side**2, cpu) <= 2**10


def test_what_is_kept_for_the_backward_pass_grows_with_the_map():
    inputs = cross_scale_inputs((48, 48), 2, dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: kept.append(x.numel()) or x, lambda x: x
    ):
        out = ops.cross_scale_attention(*inputs, scale=2, tile=(4, 48))
        ops.in_scale_attention(out, out, out[:, :1], tile=64)
    assert sum(kept) < 20 * 48 * 48 * 4
