"""MATLAB's bicubic ``imresize``, with which the field down- and upsamples images."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# The kernel reaches 2 pixels to either side.
_REACH = 2


def imresize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images as MATLAB's ``imresize(x, size, 'bicubic')`` does, without rounding.

    Where a side shrinks, the kernel widens by the same factor, which prevents aliasing. Beyond its
    border an image is mirrored. Values are not clamped: near edges they leave the range of ``x``.

    Source: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with
    a = -1/2.

    Args:
        x: [..., H, W], floating point.
        size: (H', W'), each at least 1.

    Returns:
        [..., H', W'], of the dtype and on the device of ``x``.
    """
    height, width = x.shape[-2:]
    if size[0] % height == 0 and size[1] % width == 0:
        return _enlarge(x, (size[0] // height, size[1] // width))
    for axis in (-1, -2):
        x = _resize_axis(x, axis, size[axis])
    return x


def _enlarge(x: Tensor, scale: tuple[int, int]) -> Tensor:
    """By integer factors torch gives the same, except at the border, in a third of the time."""
    rows, columns = (
        _mirror(torch.arange(-_REACH, side + _REACH), side).to(x.device) for side in x.shape[-2:]
    )
    margins = [_REACH * factor for factor in scale]
    padded = x[..., rows[:, None], columns]
    # The antialiasing form has MATLAB's a = -0.5; upscaling, there is nothing to antialias.
    y = F.interpolate(
        padded.reshape(-1, 1, *padded.shape[-2:]),
        scale_factor=tuple(map(float, scale)),
        mode='bicubic',
        antialias=True,
    )
    y = y[..., margins[0] : -margins[0], margins[1] : -margins[1]]
    return y.reshape(*x.shape[:-2], *y.shape[-2:])


def _resize_axis(x: Tensor, axis: int, length: int) -> Tensor:
    if length == x.shape[axis]:
        return x  # the kernel is 1 at 0 and 0 at all other integers
    indices, weights = _taps(x.shape[axis], length)
    indices = indices.to(x.device)
    weights = weights.to(x)
    shape = (length,) if axis == -1 else (length, 1)
    # Tap by tap: memory for three images, however wide the kernel.
    result = torch.zeros_like(x.index_select(axis, indices[0]))
    for index, weight in zip(indices, weights, strict=True):
        result.addcmul_(x.index_select(axis, index), weight.view(shape))
    return result


def _taps(source: int, target: int) -> tuple[Tensor, Tensor]:
    """For each of ``target`` pixels the indices and weights of pixels of the source, [taps, T]."""
    scale = min(target / source, 1.0)
    reach = _REACH / scale
    centers = (torch.arange(target, dtype=torch.float64) + 0.5) * (source / target) - 0.5
    first = (centers - reach).floor() + 1
    indices = first + torch.arange(math.ceil(2 * reach), dtype=torch.float64)[:, None]
    weights = _cubic((centers - indices).mul(scale))
    return _mirror(indices.long(), source), weights / weights.sum(0)


def _mirror(indices: Tensor, length: int) -> Tensor:
    """Map indices beyond the border to the mirrored pixel."""
    indices = indices % (2 * length)
    return torch.minimum(indices, 2 * length - 1 - indices)


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
