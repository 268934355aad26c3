import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from csnln_mm.networks import CSNLNNet
from csnln_mm.upscaling.tiling import tile_starts, tiled_forward


def nearest(scale):
    return lambda x: F.interpolate(x, scale_factor=scale, mode='nearest')


@pytest.mark.parametrize('scale', [2, 3])
@pytest.mark.parametrize('size', [(1, 1), (5, 40), (33, 17)])
@pytest.mark.parametrize('tile, overlap', [(16, 4), (15, 7), (8, 4), (16, 0), (0, 0)])
def test_tiles_of_a_local_model_make_the_whole(scale, size, tile, overlap):
    x = torch.rand(2, 3, *size)
    out = tiled_forward(nearest(scale), x, scale, tile=tile, overlap=overlap)
    torch.testing.assert_close(out, nearest(scale)(x))


@given(
    length=st.integers(1, 120),
    scale=st.integers(1, 4),
    tile=st.integers(2, 20),
    overlap=st.integers(0, 10),
)
def test_tiles_cover_the_side_and_overlap(length, scale, tile, overlap):
    overlap = min(overlap, tile // 2)
    starts = tile_starts(length, tile, overlap, scale)
    assert starts[0] == 0
    assert starts[-1] + min(tile, length) == length
    assert all(0 < right - left <= tile - overlap for left, right in zip(starts, starts[1:]))
    if tile - overlap >= scale:
        assert all(start % scale == 0 for start in starts[:-1])


def test_no_tile_is_larger_than_the_tile_and_their_number_is_linear_in_the_area():
    sizes = []
    tiled_forward(
        lambda x: sizes.append(x.shape[-2:]) or nearest(2)(x),
        torch.rand(1, 3, 116, 66),
        2,
        tile=16,
        overlap=5,
    )
    assert sizes == [(16, 16)] * 11 * 6


def test_blends_linearly_between_tiles():
    values = iter([0.0, 1.0])
    x = torch.zeros(1, 1, 4, 12)
    out = tiled_forward(lambda x: torch.full_like(x, next(values)), x, 1, tile=8, overlap=4)
    expected = [0.0, 0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1]
    torch.testing.assert_close(out[0, 0, 0], torch.tensor(expected))


@pytest.mark.parametrize('scale, overlap', [(2, 0), (3, 3), (4, 0)])
def test_tiles_whose_margin_is_what_the_network_looks_around_give_the_whole(scale, overlap):
    torch.manual_seed(0)
    cell = dict(branches=('local',))
    network = CSNLNNet(mid_channels=4, num_recurrences=2, upscale_factor=scale, cell=cell)
    margin = network.receptive_radius
    overlap += 2 * margin
    x = torch.rand(1, 3, 50, 61)
    with torch.no_grad():
        out = tiled_forward(network, x, scale, tile=2 * overlap, overlap=overlap, margin=margin)
        torch.testing.assert_close(out, network(x), rtol=0, atol=1e-6)


def test_half_precision_tiles_are_added_up_in_float32():
    out = tiled_forward(
        lambda x: nearest(2)(x.double()).bfloat16(), torch.rand(1, 3, 20, 20), 2, tile=8, overlap=2
    )
    assert out.dtype == torch.float32


@pytest.mark.parametrize('tile, overlap', [(-1, 0), (16, 9), (16, -1), (16.0, 4), (16, 1.5)])
def test_refuses_impossible_tiles(tile, overlap):
    with pytest.raises(ValueError, match='must be'):
        tiled_forward(nearest(2), torch.rand(1, 3, 40, 40), 2, tile=tile, overlap=overlap)
