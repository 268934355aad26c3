"""The evaluation measures what the field measures: checked on bicubic upscaling."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_data import make_benchmark

from csnln_mm.images.degradation import upsample
from csnln_mm.mmagic.testing import run_test

CONFIGS = Path(__file__).parents[2] / 'configs'


def luma(image):
    """Y of BT.601 in 16..235, from 8-bit BGR."""
    blue, green, red = np.moveaxis(image.astype(np.float64), -1, 0)
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def psnr_of_y(gt, predicted, border):
    error = (luma(gt) - luma(predicted))[border:-border, border:-border]
    return 10 * np.log10(255**2 / np.mean(error**2))


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_runner_and_metrics_agree_with_an_independent_psnr(tmp_path, scale):
    root = make_benchmark(tmp_path / 'Set5', 3, scale)
    cfg = Config.fromfile(CONFIGS / f'bicubic_x{scale}.py')
    cfg.work_dir = str(tmp_path / 'work')
    cfg.test_dataloader = cfg.test_dataloader[:1]
    cfg.test_evaluator = cfg.test_evaluator[:1]
    cfg.test_dataloader[0].dataset.data_root = str(root)
    cfg.test_dataloader[0].num_workers = 0
    measured = run_test(Runner.from_cfg(cfg))['Set5/PSNR']

    expected = []
    for path in sorted((root / 'GTmod12').iterdir()):
        lq = cv2.imread(str(root / f'LRbicx{scale}' / path.name))
        expected.append(psnr_of_y(cv2.imread(str(path)), upsample(lq, scale), scale))
    assert measured == pytest.approx(np.mean(expected), abs=0.05)
