"""Methods side by side: what is measured, what is drawn, and what is refused."""

import numpy as np
import pytest
import torch
from tiny_data import smooth_noise

from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample, upsample
from csnln_mm.images.image_file import write_image
from csnln_mm.images.metrics import psnr, ssim
from csnln_mm.networks import CSNLNNet
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization import (
    Comparison,
    compare_methods,
    comparison_figure,
    comparison_table,
    largest_difference,
)
from csnln_mm.visualization.comparison import Score

RED = (255, 59, 48)


@pytest.fixture
def upscaler():
    torch.manual_seed(0)
    return Upscaler(CSNLNNet(mid_channels=4, num_recurrences=1), device='cpu')


@pytest.fixture
def gt(tmp_path):
    """A folder of two images, one of them with sides that the scale does not divide."""
    write_image(tmp_path / 'gt/a.png', smooth_noise(41, 53, 1))
    write_image(tmp_path / 'gt/b.png', smooth_noise(40, 36, 2))
    return tmp_path / 'gt'


def test_every_method_gets_the_same_reduced_image(gt, upscaler, tmp_path):
    whole = smooth_noise(41, 53, 1)[:40, :52]
    for name, image in ('a', whole), ('b', smooth_noise(40, 36, 2)):
        write_image(tmp_path / f'results/{name}.png', image)
    methods = dict(bicubic='bicubic', ours=upscaler, theirs=tmp_path / 'results')
    one, other = compare_methods(gt, methods)
    assert (one.name, other.name, one.scale) == ('a', 'b', 2)
    np.testing.assert_array_equal(one.gt, whole)
    lq = downsample(whole, 2)
    np.testing.assert_array_equal(one.results['bicubic'], upsample(lq, 2))
    np.testing.assert_array_equal(one.results['ours'], upscaler(lq))
    assert one.scores['theirs'] == (np.inf, 1)
    for method in 'bicubic', 'ours':
        result = one.results[method]
        assert one.scores[method] == (psnr(result, whole, 2), ssim(result, whole, 2))
    (alone,) = compare_methods(gt / 'b.png', methods)
    assert alone.scores == other.scores


def test_what_cannot_be_compared_is_refused_before_the_first_image(gt, upscaler, tmp_path):
    (tmp_path / 'empty').mkdir()
    for source, methods, options, message in (
        (gt, {}, {}, 'no methods'),
        (tmp_path / 'empty', dict(bicubic='bicubic'), {}, 'no images'),
        (gt, dict(theirs=tmp_path / 'empty'), {}, 'has no result for a.png'),
        (gt, dict(ours=tmp_path / 'none.pth'), {}, 'none.pth does not exist'),
        (gt, dict(ours=upscaler), dict(scale=3), 'ours upscales by 2, not by 3'),
        (gt, dict(ours=upscaler), dict(scale=0), 'ours upscales by 2, not by 0'),
        (gt, dict(bicubic='bicubic'), dict(scale=1), 'at least 2'),
    ):
        with pytest.raises(UserError, match=message):
            compare_methods(source, methods, **options)


def test_images_that_do_not_fit_are_named(gt, tmp_path):
    write_image(tmp_path / 'small.png', smooth_noise(9, 9, 0))
    with pytest.raises(UserError, match='small.png is too small to measure: 9x9'):
        next(compare_methods(tmp_path / 'small.png', dict(bicubic='bicubic')))
    with pytest.raises(UserError, match='missing.png does not exist'):
        next(compare_methods(tmp_path / 'missing.png', dict(bicubic='bicubic')))
    # Not cropped to an even size.
    with pytest.raises(UserError, match=r'a\.png has 53x41 pixels, which is not the size of'):
        compare_methods(gt, dict(same=gt))


def test_the_table():
    scores = dict(
        coffee=dict(bicubic=Score(30.0, 0.9), ours=Score(31.0, 0.92)),
        cat=dict(bicubic=Score(20.004, 0.8), ours=Score(19.5, 0.78)),
    )
    assert comparison_table(scores).splitlines() == [
        'image           bicubic             ours       gain',
        '---------------------------------------------------',
        'coffee   30.00 / 0.9000   31.00 / 0.9200   +1.00 dB',
        'cat      20.00 / 0.8000   19.50 / 0.7800   -0.50 dB',
        'mean     25.00 / 0.8500   25.25 / 0.8500   +0.25 dB',
    ]
    alone = {name: dict(ours=row['ours']) for name, row in scores.items()}
    assert 'gain' not in comparison_table(alone)


def flat_comparison(box_colour):
    """A white image; one method paints a square of it in another colour."""
    gt = np.full((60, 60, 3), 255, np.uint8)
    painted = gt.copy()
    painted[30:50, 20:40] = box_colour
    results = dict(same=gt, painted=painted)
    return Comparison('flat', gt, results, {name: Score(30, 0.9) for name in results}, 2)


def test_the_figure_shows_the_box_of_each_method():
    green = (0, 255, 0)
    comparison = flat_comparison(green)
    figure = comparison_figure(comparison, box=(20, 30, 20, 20))
    assert (figure == RED).all(-1).any()
    # The box is all of a panel: some 300 by 300 pixels at 120 dpi; elsewhere it has no green.
    assert (figure == green).all(-1).sum() > 200**2
    assert not (comparison_figure(comparison, box=(0, 0, 20, 20)) == green).all(-1).any()
    with pytest.raises(UserError, match='box 50,5,20,10 reaches beyond the image of 60x60'):
        comparison_figure(comparison, box=(50, 5, 20, 10))


@pytest.mark.parametrize('alone', [False, True])
def test_the_box_is_where_methods_differ(alone):
    gt = np.zeros((50, 60, 3), np.uint8)
    other = gt.copy()
    other[30:34, 40:44] = 200
    results = dict(b=other) if alone else dict(a=gt, b=other)
    x, y, width, height = largest_difference(gt, results, side=10)
    assert width == height == 10
    assert x <= 40 and x + 10 >= 44 and y <= 30 and y + 10 >= 34
