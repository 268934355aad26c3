"""Pairs of HR and LR images by the protocol of the field."""

import numpy as np

__all__ = ['crop_to_multiple', 'downsample', 'upsample']


def crop_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """Cut the bottom and right so that ``multiple`` divides both sides.

    Args:
        image: [H, W] or [H, W, C].
        multiple: at least 1.

    Raises:
        ValueError: if a side is shorter than ``multiple``.
    """
    height, width = (side - side % multiple for side in image.shape[:2])
    if not height or not width:
        raise ValueError(
            f'an image of {image.shape[1]}x{image.shape[0]} has a side of less than '
            f'{multiple} pixels'
        )
    return image[:height, :width]


def downsample(image: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's antialiased bicubic reduction, rounded to 8 bits.

    Args:
        image: uint8, [s H, s W] or [s H, s W, C].
        scale: s.

    Returns:
        uint8, [H, W] or [H, W, C].
    """
    height, width = image.shape[:2]
    return _resize(image, (height // scale, width // scale))


def upsample(image: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's bicubic enlargement, rounded to 8 bits: the field's baseline.

    Args:
        image: uint8, [H, W] or [H, W, C].
        scale: s.

    Returns:
        uint8, [s H, s W] or [s H, s W, C].
    """
    height, width = image.shape[:2]
    return _resize(image, (height * scale, width * scale))


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from mmagic.datasets.transforms import MATLABLikeResize

    resized = MATLABLikeResize(keys=['x'], output_shape=size)(dict(x=image.astype(np.float64)))
    # MATLABLikeResize gives grey images a third axis.
    resized = resized['x'].reshape(*size, *image.shape[2:])
    return resized.round().clip(0, 255).astype(np.uint8)
