"""Images whose opposite borders continue each other: so do those of the results."""

import numpy as np
import pytest
from tiny_network import photograph, save_checkpoint

from csnln_mm.errors import UserError
from csnln_mm.images.image_data import ImageData
from csnln_mm.upscaling import Upscaler


@pytest.fixture(scope='module')
def local(tmp_path_factory):
    """Without attention, so that its reach is known."""
    path = tmp_path_factory.mktemp('networks') / 'local.pth'
    return save_checkpoint(path, num_recurrences=2, cell=dict(branches=('local',)))


def repeated(image, rows, columns):
    alpha = None if image.alpha is None else np.tile(image.alpha, (rows, columns))
    return image._replace(pixels=np.tile(image.pixels, (rows, columns, 1)), alpha=alpha)


def middle(image, rows, columns):
    width, height = image.size
    top, left = height // rows * (rows // 2), width // columns * (columns // 2)
    part = image.rows(top, top + height // rows)
    columns = slice(left, left + width // columns)
    alpha = None if part.alpha is None else part.alpha[:, columns]
    return part._replace(pixels=part.pixels[:, columns], alpha=alpha)


@pytest.mark.parametrize(
    'wrap, times, size, options',
    [
        ('xy', (3, 3), (20, 26), dict(alpha='network')),
        ('xy', (3, 3), (20, 26), dict(alpha='bicubic', scale=1.5)),
        ('xy', (3, 3), (50, 38), dict(tile=48)),
        ('xy', (3, 3), (20, 26), dict(ensemble=True)),
        ('x', (1, 3), (20, 26), {}),
        ('y', (3, 1), (20, 26), dict(scale=3)),
        ('xy', (25, 25), (2, 3), {}),
    ],
)
def test_a_tile_is_part_of_a_tiling(local, wrap, times, size, options):
    pixels = photograph(*size)
    image = ImageData(pixels, np.maximum(pixels[..., 0], 1))  # of hidden ones any colour would do
    result = Upscaler(local, wrap=wrap, device='cpu', **options)(image)
    expected = middle(Upscaler(local, device='cpu', **options)(repeated(image, *times)), *times)
    for a, b in (result.alpha, expected.alpha), (result.pixels, expected.pixels):
        differences = np.abs(a.astype(int) - b)
        # Rounding alone: processors add up a convolution in another order elsewhere in an image.
        assert differences.max() <= 1 and np.mean(differences > 0) < 1e-3
    plain = Upscaler(local, device='cpu', **options)(image)
    assert np.abs(plain.pixels.astype(int) - expected.pixels).max() > 1


def test_what_has_no_value_stays_where_it_is(local):
    pixels = photograph()[..., 0].astype(np.float32) / 255
    pixels[3, 4] = np.nan
    result = Upscaler(local, wrap='xy', device='cpu')(pixels)
    expected = np.zeros((40, 52), bool)
    expected[6:8, 8:10] = True
    np.testing.assert_array_equal(np.isnan(result), expected)


def test_with_attention_borders_fit_better(tmp_path):
    network = save_checkpoint(tmp_path / 'attention.pth')
    image = ImageData(photograph(seed=5))
    expected = middle(Upscaler(network, device='cpu')(repeated(image, 3, 3)), 3, 3).pixels
    wrapped, plain = (
        np.abs(Upscaler(network, device='cpu', wrap=wrap)(image).pixels.astype(int) - expected)
        for wrap in ('xy', None)
    )
    assert wrapped.max() < plain.max() and wrapped.mean() < plain.mean() / 2


def test_other_directions_are_refused(local):
    with pytest.raises(UserError, match='wrap must be one of None, x, y, xy, got z'):
        Upscaler(local, wrap='z')
