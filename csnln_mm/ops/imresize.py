"""MATLAB's ``imresize`` with its bicubic kernel, by which the field makes its test images."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ['imresize']


def imresize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize images bicubically, antialiased where they become smaller.

    Args:
        x: [..., H, W], floating point.
        size: (H', W'), each at least 1.

    Returns:
        [..., H', W'], not clipped.
    """
    for dim, length in zip((-2, -1), size):
        x = _resize(x, dim, length)
    return x


def _resize(x: Tensor, dim: int, length: int) -> Tensor:
    if length == x.shape[dim]:
        return x
    weights, indices = _taps(x.shape[dim], length)
    weights, indices = weights.to(x.device, x.dtype), indices.to(x.device)
    if dim == -2:
        weights = weights[..., None]
    return sum(x.index_select(dim, i) * w for w, i in zip(weights, indices))


def _taps(old: int, new: int) -> tuple[Tensor, Tensor]:
    """Weights and indices of the pixels that make up each new one, [taps, new]."""
    scale = new / old
    stretch = min(scale, 1.0)  # the kernel widens with the reduction
    centre = (torch.arange(new, dtype=torch.float64) + 0.5) / scale - 0.5
    first = (centre - 2 / stretch).floor()
    index = first + torch.arange(math.ceil(4 / stretch) + 2, dtype=torch.float64)[:, None]
    weights = _cubic((centre - index) * stretch)
    used = (weights != 0).any(1)
    weights, index = weights[used] / weights.sum(0), index[used].long() % (2 * old)
    return weights, torch.minimum(index, 2 * old - 1 - index)  # images go on as mirrors


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5."""
    x = x.abs()
    inner = (1.5 * x - 2.5) * x**2 + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, inner, torch.where(x < 2, outer, torch.zeros_like(x)))
