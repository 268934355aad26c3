"""What the figures of attention show is what the network computed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_data import smooth_noise
from tiny_network import save_checkpoint

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.networks import CrossScaleNonLocalAttention, InScaleNonLocalAttention
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization import (
    AttentionMaps,
    attention_figure,
    extract_attention,
    matches_figure,
)
from csnln_mm.visualization.maps import top_matches


def checkpoint(path, scale=2, **cell):
    return save_checkpoint(
        path, num_recurrences=2, image_skip=False, upscale_factor=scale, cell=cell
    )


@pytest.fixture(scope='module')
def upscaler(tmp_path_factory):
    return Upscaler(
        checkpoint(tmp_path_factory.mktemp('checkpoint') / 'x2.pth'), tile=0, device='cpu'
    )


def image(height=20, width=26):
    return ImageData(smooth_noise(height, width, 3))


def all_positions(height, width):
    return [(row, column) for row in range(height) for column in range(width)]


# The weights that modules give


@pytest.mark.parametrize(
    'scale, patch_size, size', [(2, 3, (6, 8)), (2, 5, (5, 7)), (3, 1, (5, 7)), (3, 3, (1, 1))]
)
def test_cross_scale_weights_make_the_modules_output(scale, patch_size, size):
    torch.manual_seed(0)
    module = CrossScaleNonLocalAttention(4, scale=scale, patch_size=patch_size).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    # The module pads by replication: so is the map whose pixels are asked here, to see all.
    height, width = (-(-side // scale) * scale for side in size)
    x = F.pad(x, (0, width - size[1], 0, height - size[0]), mode='replicate')
    weights = module.weights_at(x, all_positions(height, width))
    torch.testing.assert_close(weights.sum((2, 3)), torch.ones_like(weights[:, :, 0, 0]))
    value, radius = module.value(x), patch_size // 2
    patches = F.unfold(value, scale * patch_size, padding=scale * radius, stride=scale)
    rebuilt = patches @ weights.flatten(2).transpose(1, 2)  # a patch per pixel
    size = scale * height, scale * width
    out = F.fold(rebuilt, size, scale * patch_size, padding=scale * radius, stride=scale)
    torch.testing.assert_close(out / module.divisor, module(x))


@pytest.mark.parametrize('grid, size', [(None, (5, 8)), ((2, 3), (5, 8)), ((2, 3), (1, 1))])
def test_in_scale_weights_make_the_modules_output(grid, size):
    torch.manual_seed(0)
    module = InScaleNonLocalAttention(4, grid=grid).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    weights = module.weights_at(x, all_positions(*size))
    torch.testing.assert_close(weights.sum((2, 3)), torch.ones_like(weights[:, :, 0, 0]))
    out = module.value(x).flatten(2) @ weights.flatten(2).transpose(1, 2)
    torch.testing.assert_close(out.view_as(x), module(x))


@pytest.mark.parametrize('module', [CrossScaleNonLocalAttention(4), InScaleNonLocalAttention(4)])
@pytest.mark.parametrize('position', [(0, 8), (-1, 0)])
def test_weights_outside_the_map(module, position):
    with pytest.raises(ValueError, match='lies outside the map of 6 rows and 8 columns'):
        module.weights_at(torch.rand(1, 4, 6, 8), [position])


# Caught in the network


@pytest.mark.parametrize('recurrence', [1, 2])
def test_maps_are_of_the_networks_own_features(upscaler, recurrence):
    one, other = extract_attention(upscaler, image(), [(3, 5), (25, 19)], recurrence=recurrence)
    attention = upscaler.network.cell.stages[0].cross_scale_attention
    features = []
    hook = attention.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    expected_output = upscaler(image().pixels)
    hook.remove()
    with torch.no_grad():
        expected = attention.weights_at(features[recurrence - 1], [(5, 3), (19, 25)])[0]
    np.testing.assert_allclose(one.cross_scale, expected[0], rtol=1e-4)
    np.testing.assert_allclose(other.cross_scale, expected[1], rtol=1e-4)
    assert one.in_scale.shape == (20, 26) and one.cross_scale.shape == (10, 13)
    for weights in (one.in_scale, one.cross_scale, other.in_scale, other.cross_scale):
        assert weights.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(one.output, expected_output)
    assert not attention._forward_pre_hooks


def test_a_window_of_a_large_image(upscaler):
    corner, middle = extract_attention(upscaler, image(40, 50), [(49, 0), (24, 21)], window=16)
    assert corner.input.shape == middle.input.shape == (16, 16, 3)
    assert corner.offset == (34, 0) and corner.point == (15, 0)
    assert middle.offset == (16, 13) and middle.point == (8, 8)
    np.testing.assert_array_equal(middle.input, image(40, 50).pixels[13:29, 16:32])
    (whole,) = extract_attention(upscaler, image(40, 50), [(24, 21)], window=0)
    assert whole.input.shape == (40, 50, 3) and whole.point == (24, 21)


def test_the_second_stage_at_x4(tmp_path):
    upscaler = Upscaler(checkpoint(tmp_path / 'x4.pth', 4), tile=0, device='cpu')
    (one,) = extract_attention(upscaler, image(8, 10), [(3, 5)], stage=2)
    assert one.map_scale == 2 and one.query == (11, 7)
    assert one.in_scale.shape == (16, 20) and one.cross_scale.shape == (8, 10)
    matches, _ = top_matches(one, 1)
    assert matches[0].side == 3  # 3 x 3 blocks of 2 x 2 pixels of a map twice as large
    assert attention_figure(upscaler, image(8, 10), [(3, 5)], stage=2).ndim == 3


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(points=[(26, 0)]), 'x is from 0 to 25, y from 0 to 19'),
        (dict(points=[(0, -1)]), 'outside the image'),
        (dict(points=[(0, 0)], recurrence=3), 'recurrences 1 to 2, not 3'),
        (dict(points=[(0, 0)], stage=2), 'no stage 2'),
        (dict(points=[(0, 0)], window=-1), 'the window must have at least 1 pixel'),
    ],
)
def test_what_is_not_there(upscaler, settings, message):
    with pytest.raises(UserError, match=message):
        extract_attention(upscaler, image(), **settings)


# Figures


def test_top_matches_patches_are_whole_and_apart():
    weights = np.full((6, 6), 0.001)
    weights[0, 3] = 0.3  # across the border
    weights[2, 2], weights[2, 3], weights[4, 4] = 0.2, 0.19, 0.1  # the second hides the third
    small, large = (np.zeros((side, side, 3), np.uint8) for side in (12, 24))
    one = AttentionMaps(small, (0, 0), (5, 5), large, None, weights, 1, (5, 5), 1, 2, 3)
    matches, skipped = top_matches(one, 2)
    assert matches == [(0.2, 2, 2, 6), (0.1, 6, 6, 6)]
    assert skipped == 2
    with pytest.raises(UserError, match='no patch of 6x6 pixels fits into 5x12 pixels'):
        top_matches(one._replace(input=one.input[:, :5]), 2)


def test_attention_figure_of_every_network(tmp_path, upscaler):
    points, widths = [(3, 5), (0, 0)], []
    for kinds in ['in_scale', 'cross_scale'], ['in_scale'], ['cross_scale']:
        path = checkpoint(tmp_path / 'c.pth', branches=['local', *kinds])
        upscaler = Upscaler(path, tile=0, device='cpu')
        figure = attention_figure(upscaler, image(), points, recurrence=1)
        assert figure.dtype == np.uint8 and figure.ndim == 3 and figure.shape[2] == 3
        widths.append(figure.shape[1])
        if 'cross_scale' in kinds:
            assert matches_figure(upscaler, image(), (3, 5), top=3).shape[2] == 3
        else:
            with pytest.raises(UserError, match='no cross-scale attention'):
                matches_figure(upscaler, image(), (3, 5))
    assert max(widths[1:]) < widths[0]  # no empty column


@pytest.mark.parametrize('size', [(1, 1), (40, 3), (6, 40)])
def test_figures_of_images_of_any_size(upscaler, size):
    assert attention_figure(upscaler, image(*size), [(0, 0)]).ndim == 3
    if min(size) < 6:
        with pytest.raises(UserError, match='no patch of 6x6 pixels fits into'):
            matches_figure(upscaler, image(*size), (0, 0))
    else:
        assert matches_figure(upscaler, image(*size), (0, 0)).ndim == 3


def test_number_of_matches(upscaler):
    for top in 0, 9:
        with pytest.raises(UserError, match='from 1 to 8'):
            matches_figure(upscaler, image(), (3, 5), top=top)
