"""LPIPS and DISTS by pyiqa, where it is installed."""

import numpy as np
import pytest
from tiny_data import smooth_noise

from csnln_mm.errors import UserError
from csnln_mm.paper.perceptual import load_metric


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'pyiqa', None)
    with pytest.raises(UserError, match='lpips needs pyiqa.*pip install pyiqa'):
        load_metric('lpips', 'cpu')


@pytest.mark.filterwarnings('error:The given NumPy array is not writable')
def test_images_reach_pyiqa_as_rgb_of_0_to_1(capsys):
    """By a metric of its that needs no weights: PSNR of RGB. Images may be read-only."""
    pytest.importorskip('pyiqa')
    image, gt = smooth_noise(40, 50, 1), smooth_noise(40, 50, 2)
    gt.setflags(write=False)
    error = np.square(image / 255 - gt / 255).mean()
    expected = -10 * np.log10(error)
    assert load_metric('psnr', 'cpu')(image, gt) == pytest.approx(expected, abs=1e-3)
    assert not capsys.readouterr().out
