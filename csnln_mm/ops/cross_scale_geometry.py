"""Checks of the shapes, and the padding that makes any size fit the scale."""

import torch
from torch import Tensor


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Replicate the last row and column until ``multiple`` divides both sides.

    Args:
        x: [N, C, H, W].
        multiple: at least 1.

    Returns:
        [N, C, H', W'] with H' and W' the next multiples; ``x`` itself if it has this size.
    """
    # F.pad has no float16 on a CPU, and a backward pass on CUDA that differs from run to run.
    for dim in (-2, -1):
        missing = -x.shape[dim] % multiple
        if missing:
            last = x.narrow(dim, x.shape[dim] - 1, 1)
            x = torch.cat((x, *missing * [last]), dim)
    return x


def map_size(x: Tensor) -> tuple[int, int]:
    """(H, W) of a map [..., H, W]."""
    height, width = x.shape[-2:]
    return height, width


def as_blocks(x: Tensor, side: int) -> Tensor:
    """View a map cut into blocks.

    Args:
        x: [N, C, side H, side W].
        side: of a block.

    Returns:
        [N, C, side, side, H, W], a view.
    """
    return x.unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 1, 3, 5, 2, 4)


def check_maps(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Raise ValueError, naming the first wrong one, unless all are maps on one device."""
    for name, x in dict(query=query, key=key, value=value).items():
        if x.dim() != 4:
            raise ValueError(f'{name} must be [N, C, H, W], got shape {tuple(x.shape)}')
        if min(x.shape) < 1:
            raise ValueError(f'{name} must not be empty, got shape {tuple(x.shape)}')
        if x.device != query.device:
            raise ValueError(f'query is on {query.device}, {name} on {x.device}')
        if not x.is_floating_point():
            raise ValueError(f'{name} must be of a floating dtype, got {x.dtype}')


def check_patches(scale: int, patch_size: int) -> None:
    """Raise ValueError unless patches of this size exist at this scale."""
    if not isinstance(scale, int) or scale < 1:
        raise ValueError(f'scale must be a positive integer, got {scale}')
    if not isinstance(patch_size, int) or patch_size < 1 or patch_size % 2 == 0:
        raise ValueError(f'patch_size must be a positive odd integer, got {patch_size}')


def check_inputs(query: Tensor, key: Tensor, value: Tensor, scale: int, patch_size: int) -> None:
    """Raise ValueError, with the shapes, unless the three maps fit together."""
    check_maps(query, key, value)
    check_patches(scale, patch_size)
    n, channels, height, width = query.shape
    expected_key = (n, channels, -(-height // scale), -(-width // scale))
    if tuple(key.shape) != expected_key:
        raise ValueError(
            f'key must be {expected_key} for a query {tuple(query.shape)} at scale '
            f'{scale}, got {tuple(key.shape)}'
        )
    if (value.shape[0], *value.shape[2:]) != (n, height, width):
        raise ValueError(
            f'value must have the batch and size of the query {tuple(query.shape)}, '
            f'got {tuple(value.shape)}'
        )
