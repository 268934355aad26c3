"""Inference in overlapping tiles that are blended without seams."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor


def tiled_forward(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    scale: int,
    *,
    tile: int = 64,
    overlap: int = 8,
    margin: int = 0,
) -> Tensor:
    """Upscale an image tile by tile.

    The tiles are ``tile`` x ``tile`` (less where the image is smaller) and overlap by ``overlap``
    pixels or more. All but the last of a row or column begin at multiples of ``scale``, where
    ``overlap`` allows it, so that the cross-scale attention cuts them as it cuts the image. Where
    tiles overlap, the weight of each rises linearly from its border, and the weights of all add
    up to 1 everywhere. Time is linear in the image's area.

    Args:
        model: [N, C, h, w] -> [N, C', scale h, scale w].
        x: [N, C, H, W], any size.
        scale: upscaling factor of ``model``.
        tile: side of a tile in LR pixels, at least 1; 0 for the whole image at once.
        overlap: LR pixels that neighbours share at least, from 0 to half of ``tile``.
        margin: LR pixels along the border of a tile that are taken from its neighbours instead, at
            most half of ``overlap``. If it is the receptive radius of ``model``, the result is that
            of the whole image.

    Returns:
        [N, C', scale H, scale W], float32 or what the model gives if that is more precise.

    Raises:
        ValueError: if ``tile`` or ``overlap`` is out of range.
    """
    height, width = x.shape[-2:]
    out, top = None, 0
    for y in tiled_rows(
        model,
        lambda first, end: x[..., first:end, :],
        (height, width),
        scale,
        tile=tile,
        overlap=overlap,
        margin=margin,
    ):
        if y.shape[-2] == scale * height:
            return y
        if out is None:
            out = y.new_empty(*y.shape[:2], scale * height, scale * width)
        out[..., top : top + y.shape[-2], :] = y
        top += y.shape[-2]
    assert out is not None
    return out


def tiled_rows(
    model: Callable[[Tensor], Tensor],
    read: Callable[[int, int], Tensor],
    size: tuple[int, int],
    scale: int,
    *,
    tile: int,
    overlap: int,
    margin: int = 0,
) -> Iterator[Tensor]:
    """:func:`tiled_forward` of an image that is read by rows, with memory for a row of tiles.

    Args:
        model: as of :func:`tiled_forward`, like the others.
        read: maps (first, end) to these rows of the image, [N, C, end - first, W].
        size: (H, W) of the image.

    Yields:
        [N, C', h, scale W], rows of the result from top to bottom, each once.
    """
    check_tile(tile, overlap)
    height, width = size
    if tile == 0 or (height <= tile and width <= tile):
        yield model(read(0, height))
        return
    lines: list[tuple[int, Tensor]] = []
    columns: list[tuple[int, Tensor]] = []
    carried, started = None, False
    starts = [*tile_starts(height, tile, overlap, scale), height]
    for index, row in enumerate(starts[:-1]):
        x = read(row, min(row + tile, height))
        if not started:
            lines, columns = (
                _weighted_tiles(side, tile, overlap, margin, scale, x.device) for side in size
            )
            started = True
        strip = None
        for column, column_weights in columns:
            y = model(x[..., column : column + tile])
            if strip is None:
                dtype = torch.promote_types(y.dtype, torch.float32)
                shape = *y.shape[:2], y.shape[-2], scale * width
                strip = torch.zeros(shape, dtype=dtype, device=y.device)
                if carried is not None:
                    strip[..., : carried.shape[-2], :] = carried
            y = y * lines[index][1][:, None] * column_weights
            strip[..., scale * column : scale * (column + tile)].add_(y)
        assert strip is not None
        ready = scale * (starts[index + 1] - row)
        carried = strip[..., ready:, :].clone() if index + 2 < len(starts) else None
        # A few at a time, so that what is made of them takes little memory.
        yield from strip[..., :ready, :].split(64, -2)


def self_ensemble(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Average over the eight flips and rotations of an image, each turned back.

    Summed in the order of MMagic's ``SpatialTemporalEnsemble``, so that results are the same.

    Args:
        model: [N, C, h, w] -> [N, C', s h, s w].
        x: [N, C, H, W].
    """
    outputs = []
    for transpose in False, True:
        for dims in (), (-1,), (-2,), (-2, -1):
            turned = x.flip(dims)
            y = model(turned.mT if transpose else turned)
            outputs.append((y.mT if transpose else y).flip(dims).cpu())
    return torch.stack(outputs).mean(0).to(x.device)


def check_tile(tile: int, overlap: int) -> None:
    """Raise ValueError unless tiles of this size can overlap so far."""
    if not isinstance(tile, int) or tile < 0:
        raise ValueError(f'tile must be a number of pixels, or 0 for the whole image, got {tile}')
    if not isinstance(overlap, int) or overlap < 0 or (tile and 2 * overlap > tile):
        raise ValueError(f'overlap must be from 0 to half of the tile ({tile}), got {overlap}')


def tile_starts(length: int, tile: int, overlap: int, scale: int = 1) -> list[int]:
    """Where tiles begin along one side: few, evenly spread, on multiples of ``scale``.

    Args:
        length: of the side.
        tile: length of a tile; 0 for the whole side.
        overlap: pixels that neighbours share, at least; at most half of ``tile``.
        scale: upscaling factor. Tiles whose overlap leaves no such multiple begin anywhere, and the
            last one ends with the side.
    """
    if tile == 0 or length <= tile:
        return [0]
    step, last = tile - overlap, length - tile
    unit = scale if step >= scale else 1
    intervals = -(-last // step)
    while True:
        starts = sorted({last * i // intervals // unit * unit for i in range(intervals)} | {last})
        if max(after - before for before, after in pairwise(starts)) <= step:
            return starts
        intervals += 1  # rounding to multiples took from an overlap


def _weighted_tiles(
    side: int, tile: int, overlap: int, margin: int, scale: int, device: torch.device
) -> list[tuple[int, Tensor]]:
    """Where tiles begin along one side, each with the weights of its pixels, in 0..1."""
    starts = tile_starts(side, tile, overlap, scale)
    length = min(tile, side)
    size = scale * length
    # Rises over the overlap from both ends, less the margins, which the ends of the image do
    # not have; nor do they need the ramp, which the division below brings about.
    position = torch.arange(size, device=device) + 0.5
    width = scale * (overlap - 2 * margin)
    ramps = []
    for start in starts:
        rise = position - (scale * margin if start else 0)
        fall = position.flip(0) - (scale * margin if start + length < side else 0)
        ramp = torch.minimum(rise, fall)
        ramps.append((ramp / width).clamp(0, 1) if width else (ramp > 0).float())
    total = torch.zeros(scale * side, device=device)
    for start, ramp in zip(starts, ramps):
        total[scale * start : scale * start + size] += ramp
    return [(s, ramp / total[scale * s : scale * s + size]) for s, ramp in zip(starts, ramps)]
