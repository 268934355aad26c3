"""PSNR and SSIM as the field measures them: on Y, without a border."""

import math

import cv2
import numpy as np

__all__ = ['psnr', 'ssim']

# ITU-R BT.601: R, G, B of 0..255 to a luma of 16..235.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_OFFSET = 16.0


def psnr(image: np.ndarray, gt: np.ndarray, crop_border: int) -> float:
    """Peak signal-to-noise ratio in dB, infinite for equal images.

    Args:
        image: uint8 RGB, [H, W, 3].
        gt: of the same size.
        crop_border: pixels left out at each side.

    Raises:
        ValueError: if the sizes differ.
    """
    _check_sizes(image, gt)
    error = np.square(_luma(image, crop_border) - _luma(gt, crop_border)).mean()
    return 20 * math.log10(255 / math.sqrt(error)) if error else math.inf


def ssim(image: np.ndarray, gt: np.ndarray, crop_border: int) -> float:
    """Structural similarity (Wang et al., 2004), its Gaussian window wholly within the image.

    Args:
        image: uint8 RGB, [H, W, 3], at least 11 pixels beside the border.
        gt: of the same size.
        crop_border: pixels left out at each side.

    Raises:
        ValueError: if the sizes differ.
    """
    _check_sizes(image, gt)
    x, y = _luma(image, crop_border), _luma(gt, crop_border)
    kernel = cv2.getGaussianKernel(11, 1.5)

    def local_mean(values: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(values, -1, kernel, kernel)[5:-5, 5:-5]

    mean_x, mean_y = local_mean(x), local_mean(y)
    variances = local_mean(x * x) - mean_x**2 + local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float((luminance * (2 * covariance + c2) / (variances + c2)).mean())


def _check_sizes(image: np.ndarray, gt: np.ndarray) -> None:
    if image.shape != gt.shape:
        raise ValueError(f'an image of shape {image.shape} is no match for one of {gt.shape}')


def _luma(image: np.ndarray, crop_border: int) -> np.ndarray:
    height, width = image.shape[:2]
    inner = image[crop_border : height - crop_border, crop_border : width - crop_border]
    return inner.astype(np.float64) @ _LUMA + _OFFSET
