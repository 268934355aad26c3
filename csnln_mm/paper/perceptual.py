"""LPIPS and DISTS, by the package pyiqa."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np
import torch
from torch import Tensor

from csnln_mm.device import select_device
from csnln_mm.errors import UserError, one_line

# Compares a result with its ground truth, both RGB of 0..255, [H, W, 3].
Metric = Callable[[np.ndarray, np.ndarray], float]


def load_metric(name: str, device: str | None = None) -> Metric:
    """Load a metric; the first time, pyiqa downloads its weights.

    Args:
        name: 'lpips' (version 0.1, AlexNet) or 'dists'; lower is better.
        device: see :func:`~csnln_mm.device.select_device`.

    Raises:
        UserError: if pyiqa is not installed, or the weights cannot be downloaded.
    """
    on = select_device(device)
    try:
        import pyiqa
    except ImportError as error:
        raise UserError(
            f'{name} needs pyiqa, which cannot be imported ({error}): pip install pyiqa'
        ) from error
    try:
        with redirect_stdout(sys.stderr):  # where it says what it loads: tables go to stdout
            model = pyiqa.create_metric(name, device=on)
    except Exception as error:
        raise UserError(
            f'{name}: pyiqa cannot download or load its weights: {one_line(error):.200}'
        ) from error

    def metric(image: np.ndarray, gt: np.ndarray) -> float:
        with torch.no_grad():
            return float(model(_tensor(image), _tensor(gt)))

    def _tensor(image: np.ndarray) -> Tensor:
        if image.shape[2] != 3:
            raise UserError(f'{name} is for RGB, not for {image.shape[2]} bands')
        # A copy, since images may be read-only, which torch warns of.
        return torch.tensor(image, device=on).permute(2, 0, 1)[None].float() / 255

    return metric
