"""The size of the tiles in which an image goes through the network."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import nn

from csnln_mm.device import is_out_of_memory
from csnln_mm.networks.csnln_net import BLOCK, UNCUT
from csnln_mm.upscaling.tiling import tile_starts

logger = logging.getLogger(__name__)

Result = TypeVar('Result')

# Sides of a tile in LR pixels: attention takes time with the square of a tile's pixels, so
# these bound what an image takes per pixel of its own (docs/upscaling.md has the measurements).
CPU_TILE = 64
GPU_TILE = 128
# Without attention larger ones save work where tiles overlap, and only memory bounds them.
LOCAL_TILE = 256
# Bytes that an image run whole may take, of however much memory.
WHOLE_MEMORY = 2**31
SMALLEST_TILE = 32
OVERLAP = 8


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``tile`` x ``tile`` LR pixels that overlap by ``overlap``; tile 0: the whole image.

    ``count`` tiles make up the image; ``pixels`` is what one of them has; ``margin`` as for
    :func:`~csnln_mm.upscaling.tiling.tiled_forward`.
    """

    tile: int
    overlap: int
    count: int
    pixels: int
    margin: int = 0

    def __str__(self) -> str:
        if self.count == 1:
            return 'in one tile'
        return f'{self.count} tiles of {self.tile} px, overlap {self.overlap}'


def tile_cost(pixels: int, network: nn.Module) -> float:
    """Relative time for a tile of this many pixels: attention is quadratic, the rest linear."""
    return pixels * (pixels + 1500.0) if may_attend(network) else float(pixels)


def choose_tiling(
    size: tuple[int, int],
    network: nn.Module,
    device: torch.device,
    *,
    free: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
) -> Tiling:
    """Choose the tiles for an image.

    The side of a tile is 64 on a CPU and 128 elsewhere, or 256 for networks without attention,
    halved while the memory that a tile takes (:func:`tile_memory`) is more than half of what is
    free, but not below 32. An image goes through whole where that costs no more than its tiles
    (:func:`tile_cost`), and the memory suffices: with attention up to about twice the area of a
    tile, without it if it takes up to 2 GiB.

    Args:
        size: (width, height) of the LR image.
        network: a :class:`~csnln_mm.networks.CSNLNNet`.
        device: on which it runs.
        free: bytes of free memory on the device; None if they are unknown.
        tile: side of a tile instead of the rule's; 0 for the whole image.
        overlap: 8 by default, or a quarter of tiles below 32; without attention what makes the
            result that of the whole image, if it is no more than half of a tile.
    """
    if tile is not None:
        return cut(size, network, tile, overlap)

    def fits(pixels: int) -> bool:
        return not free or 2 * tile_memory(pixels, network, device) <= free

    tile = CPU_TILE if device.type == 'cpu' else GPU_TILE
    if not may_attend(network):
        tile = LOCAL_TILE
    while tile > SMALLEST_TILE and not fits(tile**2):
        tile //= 2
    tiles, whole = cut(size, network, tile, overlap), cut(size, network, 0, overlap)
    cost = tiles.count * tile_cost(tiles.pixels, network)
    small = tile_memory(whole.pixels, network, device) <= WHOLE_MEMORY
    if small and fits(whole.pixels) and tile_cost(whole.pixels, network) <= cost:
        return whole
    return tiles


def cut(size: tuple[int, int], network: nn.Module, tile: int, overlap: int | None) -> Tiling:
    """The tiling with tiles of this side; ``overlap`` as for :func:`choose_tiling`."""
    radius: int | None = getattr(network, 'receptive_radius', None)
    if overlap is None and radius is not None and 4 * radius <= tile:
        overlap = 2 * radius
    elif overlap is None:
        overlap = min(OVERLAP, tile // 4)
    margin = radius if radius is not None and 2 * radius <= overlap else 0
    scale = cast(int, network.upscale_factor)
    counts = [len(tile_starts(side, tile, overlap, scale)) for side in size]
    sides = [min(tile or side, side) for side in size]
    return Tiling(tile, overlap, counts[0] * counts[1], sides[0] * sides[1], margin)


def choose_wrap_margin(network: nn.Module) -> int:
    """Choose the LR pixels to wrap around, so that opposite borders of the result match.

    Without attention this covers all pixels that a result and its resizing depend on. With
    attention, which depends on the whole image, it is twice the overlap of tiles. It is a multiple
    of the upscaling factor, since the cross-scale attention divides images into blocks of that
    size.
    """
    scale = cast(int, network.upscale_factor)
    reach = getattr(network, 'receptive_radius', None)
    reach = 2 * OVERLAP if reach is None else reach + 2
    return -(-reach // scale) * scale


def may_attend(network: nn.Module) -> bool:
    """Whether a network has attention; true of networks that do not say."""
    return getattr(network, 'has_attention', True)


class OutOfMemory(Exception):
    """Even the smallest useful tile does not fit into memory; ``__cause__`` is the reason."""


def with_smaller_tiles(
    run: Callable[[Tiling], Result],
    tiling: Tiling,
    size: tuple[int, int],
    network: nn.Module,
    overlap: int | None,
) -> Result:
    """Call ``run`` with a tiling, and again with half the tile whenever memory runs out.

    Args:
        run: upscales an image of the (width, height) ``size``.
        tiling: to begin with, from :func:`choose_tiling`.
        size: see ``run``.
        network: a :class:`~csnln_mm.networks.CSNLNNet`.
        overlap: as for :func:`choose_tiling`, for smaller tiles.

    Raises:
        OutOfMemory: if tiles of less than 32 pixels would be needed.
    """
    while True:
        try:
            return run(tiling)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            smaller = _halve(tiling, size, network, overlap)
            if smaller is None:
                raise OutOfMemory(f'not enough memory ({tiling})') from error
        # Outside of the handler, which keeps the tensors of the attempt alive.
        logger.warning('out of memory (%s); continuing with %s', tiling, smaller)
        tiling = smaller
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _halve(
    tiling: Tiling, size: tuple[int, int], network: nn.Module, overlap: int | None
) -> Tiling | None:
    """A tiling with half the tile; None if that is too small to be of use."""
    tile = tiling.tile if tiling.count > 1 else max(size)
    # From the whole image to a power of two, as the tiles usually are.
    half = tile // 2 if tiling.count > 1 else 2 ** ((tile - 1).bit_length() - 1)
    if half < SMALLEST_TILE:
        return None
    return cut(size, network, half, None if overlap is None else min(overlap, half // 2))


def tile_memory(pixels: int, network: nn.Module, device: torch.device) -> int:
    """Estimate the bytes that the network needs, besides its weights, for a tile of ``pixels``.

    Measured: nine float32 feature maps of the upscaled size; taken as ten, and on a GPU 256
    MiB more for the blocks that the attention works in. Without attention five maps of the tile's
    own size, five images of the upscaled size, and one of the blocks that a recurrence is done in.
    """
    channels, scale = cast(int, network.mid_channels), cast(int, network.upscale_factor)
    if getattr(network, 'receptive_radius', None) is not None:
        images = 5 * cast(int, network.in_channels) * scale**2
        hidden = channels * scale**2 * pixels
        return 4 * (pixels * (5 * channels + images) + 10 * (hidden if hidden <= UNCUT else BLOCK))
    blocks = 0 if device.type == 'cpu' else 2**28
    return 10 * 4 * channels * scale**2 * pixels + blocks
