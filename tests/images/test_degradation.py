import numpy as np
import pytest

from csnln_mm.images.degradation import downsample, downsample_window


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_a_window_is_that_of_the_whole_image(scale):
    image = np.random.RandomState(scale).randint(0, 256, (12 * scale, 14 * scale, 3), np.uint8)
    whole = downsample(image, scale)
    for window in (0, 0, 5, 6), (3, 4, 2, 2), (7, 8, 5, 6), (0, 0, 12, 14):
        y, x, height, width = window
        expected = whole[y : y + height, x : x + width]
        assert (downsample_window(image, scale, window) == expected).all()
