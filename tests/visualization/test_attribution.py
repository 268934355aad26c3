"""A local attribution map is the integral that the paper defines, for any network."""

import numpy as np
import pytest
import torch
from tiny_data import smooth_noise
from torch import nn

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.networks import CSNLNNet
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization import (
    attribution_figure,
    diffusion_index,
    extract_attribution,
    local_attribution,
)


class Convolutions(nn.Module):
    """x2, each output pixel from the 5x5 input pixels around it."""

    upscale_factor = 2
    mid_channels = 4

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 12, 3, padding=1)

    def forward(self, x):
        return nn.functional.pixel_shuffle(self.second(self.first(x).relu()), 2)


def csnln(**cell):
    torch.manual_seed(0)
    return CSNLNNet(mid_channels=4, num_recurrences=2, cell=cell).eval()


def lq(height=20, width=26):
    pixels = smooth_noise(height, width, 3).transpose(2, 0, 1)
    return torch.from_numpy(pixels.astype(np.float64) / 255)[None]


def attribute(network, x, box=(16, 12, 8, 8), **settings):
    return local_attribution(network.double().eval(), x, box, **settings)


# The integral


@pytest.mark.parametrize('network', [Convolutions(), csnln(), csnln(branches=['local'])])
def test_it_adds_up_to_the_change_of_the_detail(network):
    found = attribute(network, lq(), steps=12)
    assert found.map.shape == (20, 26)
    change, magnitude = found.end - found.start, float(found.map.abs().sum())
    assert abs(change) > 0.04 * magnitude
    assert float(found.map.sum()) == pytest.approx(change, abs=0.005 * magnitude)
    assert found.error == pytest.approx(abs(float(found.map.sum()) - change) / magnitude)


def test_the_error_falls_with_the_square_of_the_steps():
    class Smooth(nn.Module):
        def forward(self, x):
            return torch.sin(9 * x)

    few, many = (attribute(Smooth(), lq(), (4, 3, 8, 8), steps=n) for n in (8, 32))
    assert many.error < few.error / 8


def test_the_ends_of_the_path_are_the_blurred_image_and_the_image():
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[..., 4, 4] = 1
    found = attribute(nn.Identity(), x, (0, 0, 9, 9))
    # Forward differences: one to the right and one downwards at the pixel, and one each before it.
    assert found.end == pytest.approx(2 + 2**0.5)
    gaussian = torch.exp(-0.5 * (torch.arange(-4.0, 5).double() / 1.2) ** 2)
    blurred = torch.outer(gaussian, gaussian) / gaussian.sum() ** 2
    dy, dx = blurred.diff(dim=0, append=blurred[-1:]), blurred.diff(dim=1, append=blurred[:, -1:])
    assert found.start == pytest.approx(float(torch.hypot(dx, dy).sum()))


def test_nothing_outside_the_receptive_field():
    # Rows 12 to 20 of the output, with the next of a difference, are of rows 6 to 10.
    map = attribute(Convolutions(), lq(), (16, 12, 8, 8), steps=4).map
    used = torch.zeros_like(map, dtype=torch.bool)
    used[6 - 2 : 10 + 3, 8 - 2 : 12 + 3] = True
    used[10 + 2, 12 + 2] = False  # no difference goes to the corner
    assert (map[~used] == 0).all()
    assert map[6 - 2, 8 - 2] != 0 and map[10 + 2, 12 + 1] != 0
    assert (attribute(csnln(), lq(), steps=1).map != 0).all()  # attention sees everything


def test_a_flat_image_has_no_attribution():
    found = attribute(nn.Identity(), torch.full_like(lq(), 0.5), (10, 10, 4, 4), steps=2)
    assert (found.map == 0).all() and (found.start, found.end, found.error) == (0, 0, 0)


def test_a_transposed_image_has_the_transposed_map():
    network = csnln()

    class Transposed(nn.Module):
        def forward(self, x):
            return network(x.mT).mT

    one = attribute(network, lq(), (16, 12, 8, 6), steps=2)
    other = attribute(Transposed(), lq().mT, (12, 16, 6, 8), steps=2)
    torch.testing.assert_close(other.map, one.map.T)


def test_boxes_add_up():
    whole, left, right = (
        attribute(Convolutions(), lq(), box, steps=2).map
        for box in ((44, 4, 8, 6), (44, 4, 5, 6), (49, 4, 3, 6))  # to the border
    )
    torch.testing.assert_close(left + right, whole)


@pytest.mark.parametrize('batch_size', [2, 9])
def test_steps_in_batches(batch_size):
    done = []
    found = attribute(
        csnln(), lq(10, 12), steps=5, batch_size=batch_size, on_step=lambda *step: done.append(step)
    )
    torch.testing.assert_close(found.map, attribute(csnln(), lq(10, 12), steps=5).map)
    assert done[-1] == (5, 5) and len(done) == -(-5 // batch_size)


def test_a_step_can_be_the_last():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(Convolutions(), lq(), on_step=stop)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(steps=0), 'steps and sigma must be positive, got 0'),
        (dict(sigma=0), 'must be positive, got 50 and 0'),
        (dict(box=(50, 0, 4, 4)), r'box \(50, 0, 4, 4\) reaches beyond the output of 52x40'),
        (dict(box=(0, 0, 4, 0)), 'reaches beyond'),
    ],
)
def test_what_is_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        attribute(Convolutions(), lq(), **settings)


# Other packages' networks


def edsr():
    return pytest.importorskip('mmagic.models.editors').EDSRNet(
        3, 3, mid_channels=4, num_blocks=1, upscale_factor=2
    )


def spandrel():
    module = pytest.importorskip('spandrel.architectures.Compact.__arch.SRVGG')
    return module.SRVGGNetCompact(num_feat=4, num_conv=1, upscale=2)


@pytest.mark.parametrize('build', [edsr, spandrel])
def test_any_network(build):
    torch.manual_seed(0)
    found = attribute(build(), lq(), steps=8)
    assert found.error < 0.05
    assert 0 < found.diffusion_index < 100


# The diffusion index


def test_diffusion_index():
    assert diffusion_index(torch.full((5, 7), -0.3)) == pytest.approx(100)
    one = torch.zeros(4, 5)
    one[2, 3] = 2.0
    assert diffusion_index(one) == pytest.approx(100 / 20)
    map = torch.randn(6, 7)
    g = map.abs().flatten()
    gini = (g[:, None] - g).abs().sum() / (2 * len(g) ** 2 * g.mean())
    assert diffusion_index(map) == pytest.approx(100 * (1 - float(gini)), rel=1e-5)
    assert diffusion_index(-3 * map) == pytest.approx(diffusion_index(map), rel=1e-6)
    assert np.isnan(diffusion_index(torch.zeros(3, 3)))


# Of an image


def image(height=20, width=26):
    return ImageData(smooth_noise(height, width, 3))


@pytest.fixture(scope='module')
def upscaler():
    return Upscaler(csnln().float(), tile=0, device='cpu')


def test_the_detail_around_a_pixel(upscaler):
    upscaler(image().pixels)  # without gradients; has no effect
    one = extract_attribution(upscaler, image(), (10, 8), detail=8, steps=3)
    assert one.box == (17, 13, 8, 8) and one.point == (10, 8) and one.offset == (0, 0)
    expected = local_attribution(upscaler.network, lq().float(), one.box, steps=3)
    torch.testing.assert_close(one.attribution.map, expected.map)
    corner = extract_attribution(upscaler, image(), (25, 0), detail=8, steps=1)
    assert corner.box == (44, 0, 8, 8)
    assert extract_attribution(upscaler, image(3, 4), (1, 1), steps=1).box == (0, 0, 8, 6)


def test_a_window_of_a_large_image(upscaler):
    one = extract_attribution(upscaler, image(40, 50), (24, 21), detail=4, steps=1, window=16)
    assert one.offset == (16, 13) and one.point == (8, 8) and one.box == (15, 15, 4, 4)
    np.testing.assert_array_equal(one.input, image(40, 50).pixels[13:29, 16:32])
    assert one.attribution.map.shape == (16, 16)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(point=(26, 0)), 'x is from 0 to 25'),
        (dict(detail=0), 'detail must be at least 1, got 0'),
        (dict(steps=-1), 'steps must be at least 1, got -1'),
        (dict(window=-1), 'the window must have at least 1 pixel'),
    ],
)
def test_a_users_mistakes(upscaler, settings, message):
    with pytest.raises(UserError, match=message):
        extract_attribution(upscaler, image(), **dict(dict(point=(3, 5)), **settings))


def test_figure_with_and_without_attention(upscaler):
    steps = []
    figure = attribution_figure(
        upscaler, image(), [(3, 5), (25, 19)], steps=2, on_step=lambda *step: steps.append(step)
    )
    assert steps == [(1, 1, 2), (1, 2, 2), (2, 1, 2), (2, 2, 2)]
    alone = attribution_figure(Upscaler(Convolutions(), device='cpu'), image(), [(3, 5)], steps=1)
    assert alone.dtype == np.uint8
    assert figure.shape[1] > 1.5 * alone.shape[1]  # four columns, or two
