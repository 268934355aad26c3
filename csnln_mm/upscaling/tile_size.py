"""How large the pieces are that a picture goes through the network in."""

from typing import NamedTuple

import torch
from torch import nn

from csnln_mm.device import free_memory
from csnln_mm.upscaling.tiling import tile_starts

__all__ = ['Pieces', 'choose_pieces', 'piece_memory', 'work_of']

# Sides of a piece in LR pixels: attention takes time with the square of a piece's pixels, so
# these bound what a picture takes per pixel of its own (docs/upscaling.md has the measurements).
CPU_TILE = 64
GPU_TILE = 128
SMALLEST_TILE = 32
OVERLAP = 16


class Pieces(NamedTuple):
    """Pieces of ``tile`` x ``tile`` LR pixels that overlap by ``overlap``; tile 0 is the whole.

    ``count`` pieces make up the picture; ``pixels`` is what one of them has.
    """

    tile: int
    overlap: int
    count: int
    pixels: int

    def __str__(self) -> str:
        if self.count == 1:
            return 'in one piece'
        return f'{self.count} pieces of {self.tile} px, overlap {self.overlap}'


def work_of(pixels: int) -> float:
    """What a piece of so many pixels takes, in no unit: attention is quadratic, the rest linear."""
    return pixels * (pixels + 1500.0)


def choose_pieces(
    size: tuple[int, int],
    network: nn.Module,
    device: torch.device,
    *,
    tile: int | None = None,
    overlap: int | None = None,
) -> Pieces:
    """The pieces for a picture.

    The side of a piece is 64 on a CPU and 128 elsewhere, halved while the memory that a piece
    takes (:func:`piece_memory`) is more than half of what is free, but not below 32. A picture
    goes through whole where that is no more work than its pieces (:func:`work_of`), as it is up
    to about twice the area of a piece, and the memory suffices.

    Args:
        size: (width, height) of the LR picture.
        network: a :class:`~csnln_mm.networks.CSNLNNet`.
        device: that it runs on.
        tile: side of a piece instead of the rule's; 0 for the whole.
        overlap: 16 by default, or a quarter of smaller pieces.
    """
    if tile is not None:
        return _cut(size, network, tile, overlap)
    free = free_memory(device)

    def fits(pixels: int) -> bool:
        return not free or 2 * piece_memory(pixels, network) <= free

    tile = CPU_TILE if device.type == 'cpu' else GPU_TILE
    while tile > SMALLEST_TILE and not fits(tile**2):
        tile //= 2
    pieces, whole = _cut(size, network, tile, overlap), _cut(size, network, 0, overlap)
    if fits(whole.pixels) and work_of(whole.pixels) <= pieces.count * work_of(pieces.pixels):
        return whole
    return pieces


def _cut(size: tuple[int, int], network: nn.Module, tile: int, overlap: int | None) -> Pieces:
    if overlap is None:
        overlap = min(OVERLAP, tile // 4)
    counts = [len(tile_starts(side, tile, overlap, network.upscale_factor)) for side in size]
    sides = [min(tile or side, side) for side in size]
    return Pieces(tile, overlap, counts[0] * counts[1], sides[0] * sides[1])


def piece_memory(pixels: int, network: nn.Module) -> int:
    """About how many bytes the network needs beside its weights for a piece of so many pixels.

    Measured: nine float32 feature maps of the enlarged size; taken as ten, and 256 MiB more for
    the blocks that the attention works in on a GPU.
    """
    return 10 * 4 * network.mid_channels * network.upscale_factor**2 * pixels + 2**28
