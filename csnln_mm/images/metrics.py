"""PSNR and SSIM as the field measures them: on Y, without a border; of bands on their values."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.images.degradation import mod_crop
from csnln_mm.images.ground_truth import GroundTruth, count_bands, read_ground_truth
from csnln_mm.images.image_data import ImageData
from csnln_mm.images.image_file import read_header, read_rgb
from csnln_mm.images.value_range import RangeOption, find_range

_WINDOW = 11  # of SSIM

# ITU-R BT.601: R, G, B of 0..255 to a luma of 16..235.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_OFFSET = 16.0


class Score(NamedTuple):
    """PSNR in dB, and SSIM: on the Y channel of RGB; of other numbers of bands on all of them."""

    psnr: float
    ssim: float

    def __str__(self) -> str:
        return f'{self.psnr:.2f} / {self.ssim:.4f}'

    @classmethod
    def of(cls, image: np.ndarray, gt: np.ndarray, crop_border: int) -> 'Score':
        """Arguments and errors are those of :func:`ssim`."""
        return cls(psnr(image, gt, crop_border), ssim(image, gt, crop_border))

    @classmethod
    def mean(cls, scores: Iterable['Score']) -> 'Score':
        """The mean over images."""
        return cls(*np.mean(list(scores), axis=0).tolist())


def read_gt(
    path: Path,
    multiple: int,
    crop_border: int,
    value_range: RangeOption = None,
    bands: str | None = None,
    *,
    deep: bool = False,
) -> GroundTruth:
    """Read an image to measure results against.

    Args:
        path: of the file.
        multiple: what divides both sides after the bottom and right are cut.
        crop_border: as of :func:`ssim`.
        value_range: see :func:`~csnln_mm.images.ground_truth.read_ground_truth`, like ``bands``.
        deep: whether to keep bands and type of an image that is not grey or RGB of 8 bits; by
            default all are reduced to 8-bit RGB.

    Returns:
        Pixels of [H, W, C], contiguous.

    Raises:
        UserError: if it cannot be read, or is too small for the window of SSIM.
    """
    if deep and (
        value_range is not None or count_bands(path, read_header(path), bands) is not None
    ):
        truth = read_ground_truth(path, value_range, bands)
    else:
        rgb = ImageData(read_rgb(path))
        truth = GroundTruth(rgb, find_range(rgb, 'full'))
    width, height = truth.image.size
    if min(side - side % multiple for side in (height, width)) < 2 * crop_border + _WINDOW:
        raise UserError(f'{path} is too small to measure: {width}x{height}')
    pixels = np.ascontiguousarray(mod_crop(truth.image.pixels, multiple))
    return truth._replace(image=truth.image._replace(pixels=pixels))


def to_luma(image: np.ndarray) -> np.ndarray:
    """Compute BT.601's Y in its studio range, without rounding.

    Args:
        image: RGB of 0..255, [..., 3].

    Returns:
        float64 of 16..235, [...].
    """
    return image.astype(np.float64) @ _LUMA + _OFFSET


def psnr(image: np.ndarray, gt: np.ndarray, crop_border: int) -> float:
    """Peak signal-to-noise ratio in dB, infinite for equal images.

    Args:
        image: RGB of 0..255, [H, W, 3]; or other bands, [H, W, C], which count as they are.
        gt: of the same size.
        crop_border: pixels left out at each side.

    Raises:
        ValueError: if the sizes differ.

    Examples:
        >>> import numpy as np
        >>> gt = np.full((32, 32, 3), 100, np.uint8)
        >>> round(psnr(gt + 1, gt, crop_border=2), 2)  # one level of 255 is 219 / 255 of Y
        49.45
    """
    x, y = _signals(image, gt, crop_border)
    error = np.square(x - y).mean()
    return 20 * math.log10(255 / math.sqrt(error)) if error else math.inf


def ssim(image: np.ndarray, gt: np.ndarray, crop_border: int) -> float:
    """Structural similarity (Wang et al., 2004), its Gaussian window wholly within the image.

    Args:
        image: as of :func:`psnr`, at least 11 pixels beside the border.
        gt: of the same size.
        crop_border: pixels left out at each side.

    Raises:
        ValueError: if the sizes differ.
    """
    bands = zip(*_signals(image, gt, crop_border), strict=True)
    return float(np.mean([_ssim(x, y) for x, y in bands]))


def _ssim(x: np.ndarray, y: np.ndarray) -> float:
    kernel = cv2.getGaussianKernel(_WINDOW, 1.5)

    def local_mean(values: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(values, -1, kernel, kernel)[5:-5, 5:-5]

    mean_x, mean_y = local_mean(x), local_mean(y)
    variances = local_mean(x * x) - mean_x**2 + local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float((luminance * (2 * covariance + c2) / (variances + c2)).mean())


def _signals(image: np.ndarray, gt: np.ndarray, crop_border: int) -> list[np.ndarray]:
    """What is compared, [C, H, W] in float64."""
    if image.shape != gt.shape:
        raise ValueError(f'an image of shape {image.shape} is no match for one of {gt.shape}')
    rows, columns = (slice(crop_border, side - crop_border) for side in gt.shape[:2])
    both = [x[rows, columns] for x in (image, gt)]
    if gt.shape[2] == 3:
        return [to_luma(x)[None] for x in both]
    return [x.astype(np.float64).transpose(2, 0, 1) for x in both]
