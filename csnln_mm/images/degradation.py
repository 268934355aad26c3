"""Pairs of HR and LR images by the protocol of the field."""

import io

import numpy as np
from PIL import Image

# LR pixels: the kernel reaches 2 to either side.
_REACH = 3


def mod_crop(image: np.ndarray, multiple: int) -> np.ndarray:
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
    """MATLAB's antialiased bicubic reduction, rounded as :func:`resize` does.

    Args:
        image: [s H, s W] or [s H, s W, C].
        scale: s.

    Returns:
        [H, W] or [H, W, C], of the same dtype.
    """
    height, width = image.shape[:2]
    return resize(image, (height // scale, width // scale))


def downsample_window(
    image: np.ndarray, scale: int, window: tuple[int, int, int, int]
) -> np.ndarray:
    """A window of :func:`downsample`, without reducing all of the image.

    Args:
        image: [s H, s W] or [s H, s W, C].
        scale: s.
        window: (y, x, height, width) in LR pixels.

    Returns:
        [height, width] or [height, width, C]: ``downsample(image, s)[y:, x:]``, cut.
    """
    slices, inner = [], []
    for start, length, side in zip(window[:2], window[2:], image.shape):
        first = max(start - _REACH, 0)
        last = min(start + length + _REACH, side // scale)
        slices.append(slice(scale * first, scale * last))
        inner.append(slice(start - first, start - first + length))
    return downsample(image[tuple(slices)], scale)[tuple(inner)]


def upsample(image: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's bicubic interpolation, rounded as :func:`resize` does: the field's baseline.

    Args:
        image: [H, W] or [H, W, C].
        scale: s.

    Returns:
        [s H, s W] or [s H, s W, C], of the same dtype.
    """
    height, width = image.shape[:2]
    return resize(image, (height * scale, width * scale))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """MATLAB's bicubic, antialiased when it reduces; integers are rounded to their type.

    Args:
        image: [H, W] or [H, W, C], of integers or float.
        size: (rows, columns) of the result.

    Returns:
        [*size] or [*size, C], of the same dtype.
    """
    # Here: what only reads images is spared the seconds.
    import torch

    from csnln_mm.ops.imresize import imresize

    x = torch.from_numpy(image.astype(np.float64)).reshape(*image.shape[:2], -1)
    y = imresize(x.permute(2, 0, 1), size).permute(1, 2, 0)
    if image.dtype.kind != 'f':
        limits = np.iinfo(image.dtype)
        y = y.round().clamp(limits.min, limits.max)
    return y.numpy().astype(image.dtype).reshape(*size, *image.shape[2:])


def compress_as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decompress an image as JPEG, with colour at half the resolution, as cameras do.

    Args:
        image: uint8 RGB, [H, W, 3].
        quality: 1 to 100, of libjpeg.

    Returns:
        uint8 RGB of the same shape.
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'JPEG', quality=quality, subsampling='4:2:0')
    return np.array(Image.open(file))
