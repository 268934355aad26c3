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
    return _weighted_sum(x, axis, *_taps(x.shape[axis], length))


def _weighted_sum(x: Tensor, axis: int, indices: Tensor, weights: Tensor) -> Tensor:
    indices = indices.to(x.device)
    weights = weights.to(x)
    length = indices.shape[1]
    shape = (length,) if axis == -1 else (length, 1)
    # Tap by tap: memory for three images, however wide the kernel.
    result = torch.zeros_like(x.index_select(axis, indices[0]))
    for index, weight in zip(indices, weights, strict=True):
        result.addcmul_(x.index_select(axis, index), weight.view(shape))
    return result


class RowwiseResize:
    """:func:`imresize` of an image that comes row by row: the same numbers with little memory.

    Integer factors are no case of their own here, so those results differ by rounding.

    Args:
        source: (H, W) of the image.
        target: (H', W') of the result.
        nearest: take the nearest pixel instead.
        margins: rows above and below, and columns left and right of the image, which come with it
            and are seen beyond its border.
    """

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        *,
        nearest: bool = False,
        margins: tuple[int, int] = (0, 0),
    ) -> None:
        self._taps = [
            _nearest(a, b, margin) if nearest or a == b else _taps(a, b, margin)
            for a, b, margin in zip(source, target, margins)
        ]
        self._same = [a == b and not margin for a, b, margin in zip(source, target, margins)]
        indices = self._taps[0][0]
        # Above the border rows are mirrored, so that neither end rises by itself.
        self._last = indices.max(0).values.cummax(0).values
        self._first = indices.min(0).values.flip(0).cummin(0).values.flip(0)
        self._rows: Tensor | None = None
        self._start = self._done = 0

    def push(self, x: Tensor) -> Tensor:
        """Add the next rows, [..., h, W], and return those that are ready, [..., h', W']."""
        if not self._same[1]:
            x = _weighted_sum(x, -1, *self._taps[1])
        if self._same[0]:
            return x
        x = x if self._rows is None else torch.cat([self._rows, x], -2)
        stop = int(torch.searchsorted(self._last, self._start + x.shape[-2]))
        ready = slice(self._done, stop)
        indices, weights = self._taps[0]
        y = _weighted_sum(x, -2, indices[:, ready] - self._start, weights[:, ready])
        first = int(self._first[stop]) if stop < len(self._first) else self._start + x.shape[-2]
        self._rows = x[..., max(0, first - self._start) :, :].clone()
        self._start, self._done = max(first, self._start), stop
        return y


def _taps(source: int, target: int, margin: int = 0) -> tuple[Tensor, Tensor]:
    """For each of ``target`` pixels the indices and weights of pixels of the source, [taps, T]."""
    scale = min(target / source, 1.0)
    reach = _REACH / scale
    centers = (torch.arange(target, dtype=torch.float64) + 0.5) * (source / target) - 0.5
    first = (centers - reach).floor() + 1
    indices = first + torch.arange(math.ceil(2 * reach), dtype=torch.float64)[:, None]
    weights = _cubic((centers - indices).mul(scale))
    indices = _mirror(indices.long() + margin, source + 2 * margin)
    return indices, weights / weights.sum(0)


def _nearest(source: int, target: int, margin: int) -> tuple[Tensor, Tensor]:
    """As :func:`_taps`, of the one pixel that is nearest."""
    indices = (2 * torch.arange(target) + 1) * source // (2 * target)
    return indices[None] + margin, torch.ones(1, target, dtype=torch.float64)


def _mirror(indices: Tensor, length: int) -> Tensor:
    """Map indices beyond the border to the mirrored pixel."""
    indices = indices % (2 * length)
    return torch.minimum(indices, 2 * length - 1 - indices)


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
