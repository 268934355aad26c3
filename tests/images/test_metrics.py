"""PSNR and SSIM against MMagic's."""

import math

import numpy as np
import pytest
from tiny_data import smooth_noise

from csnln_mm.images.metrics import psnr, ssim


@pytest.mark.parametrize('size', [(40, 50), (15, 15)])
@pytest.mark.parametrize('border', [0, 2])
def test_they_are_mmagics(size, border):
    metrics = pytest.importorskip('mmagic.evaluation.metrics')
    gt = smooth_noise(*size, 1)
    image = np.clip(gt.astype(int) + np.random.RandomState(0).randint(-20, 21, gt.shape), 0, 255)
    image = image.astype(np.uint8)
    options = dict(crop_border=border, convert_to='Y', channel_order='rgb')
    # MMagic computes Y in float32, whose order of sums depends on the processor.
    error = 4 * float(np.finfo(np.float32).eps) * 255
    decibels = 20 / math.log(10) * error / (255 / 10 ** (psnr(image, gt, border) / 20))
    theirs = metrics.psnr(image, gt, **options), metrics.ssim(image, gt, **options)
    assert psnr(image, gt, border) == pytest.approx(theirs[0], abs=decibels)
    # The least that SSIM divides differences by is 0.03 of the range.
    assert ssim(image, gt, border) == pytest.approx(theirs[1], abs=error / (0.03 * 255))


def test_equal_images():
    gt = smooth_noise(20, 20, 1)
    assert psnr(gt, gt, 2) == math.inf and ssim(gt, gt, 2) == pytest.approx(1)


@pytest.mark.parametrize('metric', [psnr, ssim])
def test_other_sizes_are_refused(metric):
    with pytest.raises(ValueError, match='no match'):
        metric(smooth_noise(20, 20, 1), smooth_noise(20, 1, 1), 0)
