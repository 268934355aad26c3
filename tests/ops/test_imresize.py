"""MATLAB's bicubic resize."""

import numpy as np
import pytest
import torch

from csnln_mm.images.degradation import downsample, upsample
from csnln_mm.ops.imresize import imresize


@pytest.mark.parametrize('size', [(12, 24), (132, 120)])
@pytest.mark.parametrize('scale', [2, 3, 4])
def test_pixels_are_mmagics_rounded(size, scale):
    transforms = pytest.importorskip('mmagic.datasets.transforms')
    image = np.random.RandomState(sum(size)).randint(0, 256, (*size, 3), np.uint8)

    def mmagics(shape):
        resize = transforms.MATLABLikeResize(['x'], output_shape=shape)
        return resize(dict(x=image.astype(np.float64)))['x'].clip(0, 255)

    # What is half way between two levels may go to either; where it enlarges, MMagic computes
    # positions, of up to 132 pixels, in float32.
    reduced, enlarged = mmagics([n // scale for n in size]), mmagics([n * scale for n in size])
    assert abs(downsample(image, scale) - reduced).max() <= 0.5 + 1e-11
    error = 255 * max(size) * np.finfo(np.float32).eps
    assert abs(upsample(image, scale) - enlarged).max() <= 0.5 + error


@pytest.mark.parametrize('size', [(1, 1), (3, 7), (10, 4)])
def test_constants_stay(size):
    for new in (1, 1), (5, 5), (30, 8), (2, 17):
        y = imresize(torch.full((2, 3, *size), 0.7).double(), new)
        torch.testing.assert_close(y, torch.full((2, 3, *new), 0.7).double())


def test_a_line_is_kept_away_from_the_border():
    x = torch.arange(40).double().expand(40, 40)
    y = imresize(x, (20, 20))
    expected = torch.arange(20).double() * 2 + 0.5
    torch.testing.assert_close(y[:, 3:-3], expected.expand(20, 20)[:, 3:-3])
