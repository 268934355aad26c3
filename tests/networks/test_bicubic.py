import numpy as np
import pytest
import torch

from csnln_mm.networks import BicubicUpsampler


@pytest.mark.parametrize('scale, size', [(2, (7, 12)), (3, (1, 5)), (4, (2, 1))])
def test_equals_matlab_like_resize_to_the_border(scale, size):
    transforms = pytest.importorskip('mmagic.datasets.transforms')
    image = np.random.RandomState(0).randint(0, 256, (*size, 3), np.uint8)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255
    out = BicubicUpsampler(scale)(x)[0].permute(1, 2, 0).mul(255).round().numpy()
    size = [scale * side for side in size]
    exact = transforms.MATLABLikeResize(['x'], output_shape=size)(dict(x=image.astype(float)))['x']
    # A value half way between two, exact at a scale of 2, may go to either.
    assert abs(out - exact.clip(0, 255)).max() < 0.5 + 1e-9


@pytest.mark.parametrize('factor', [0, 2.0])
def test_a_factor_that_is_none_is_refused(factor):
    with pytest.raises(ValueError, match='upscale_factor'):
        BicubicUpsampler(factor)
