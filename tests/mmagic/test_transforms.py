"""What JPEG and high contrast make of the patches of a training."""

import numpy as np
import pytest
from mmagic.registry import TRANSFORMS
from tiny_network import photograph

from csnln_mm.images.degradation import downsample


@pytest.fixture
def img():
    return photograph(64, 72)


def compress(img, **settings):
    np.random.seed(0)
    transform = TRANSFORMS.build(dict(type='JPEGPhotograph', **settings))
    return transform(dict(img=img, scale=2))['img']


def error(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.mark.parametrize('twice', [0, 1])
@pytest.mark.parametrize('full_colour', [0, 1])
def test_less_quality_is_less_of_the_image(img, twice, full_colour):
    options = dict(prob_twice=twice, prob_full_colour=full_colour)
    errors = [error(compress(img, quality=(q, q), **options), img) for q in (100, 60, 20)]
    assert errors == sorted(errors) and errors[0] < 2 < errors[2] < 20


def test_colour_is_in_order_and_sampled_as_asked(img):
    red = np.zeros_like(img)
    red[..., 0] = 200
    red[:, ::2] = 0  # what 4:2:0 cannot hold
    half, full = (compress(red, quality=(95, 95), prob_full_colour=p, prob_twice=0) for p in (0, 1))
    assert error(full, red) < 5 < error(half, red)
    assert full[..., 0].mean() > 90 > 10 > full[..., 2].mean()


def test_some_are_left_as_they_are_but_for_rounding(img):
    noisy = img.astype(np.float32) + 0.3
    assert (
        np.array_equal(compress(noisy, prob=0), img) and compress(noisy, prob=0).dtype == np.uint8
    )
    same = [np.array_equal(compress(img, quality=(30, 30), prob=p), img) for p in (0, 1)]
    assert same == [True, False]


@pytest.mark.parametrize('scale', [2, 3])
def test_pairs_of_high_contrast_fit_together(scale):
    gt = photograph(24 * scale, 32 * scale)
    pair = dict(gt=gt, img=downsample(gt, scale), scale=scale)
    assert TRANSFORMS.build(dict(type='HighContrast', prob=0))(pair) is pair
    np.random.seed(0)
    spreads = []
    for _ in range(60):
        new = TRANSFORMS.build(dict(type='HighContrast', prob=1))(pair)
        assert (new['gt'].shape, new['img'].shape) == (gt.shape, pair['img'].shape)
        assert new['gt'].dtype == new['img'].dtype == np.uint8
        # MMagic flips both in place.
        assert new['gt'].flags.writeable and new['img'].flags.writeable
        assert error(downsample(new['gt'], scale), new['img']) < 0.5 * new['img'].std() + 1
        spreads.append(new['img'].std())
    assert np.median(spreads) > 1.5 * pair['img'].std()
