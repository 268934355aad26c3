"""Inference in quarters, as the published numbers of CSNLN were measured."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

__all__ = ['check_overlap', 'chopped_forward']


class _Span(NamedTuple):
    """A range of LR rows or columns: what the model sees, and what is kept of its result."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def chopped_forward(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    scale: int,
    *,
    overlap: int = 10,
    max_pixels: int = 3600,
) -> Tensor:
    """Upscale an image by quarters, and these by quarters while they are too large.

    The image is cut into four corners that reach ``overlap`` pixels and a little more
    (to the next multiple of ``scale``, a full one if there already) beyond its middle. Each
    quarter of the result comes from its own corner, without blending.

    Args:
        model: [N, C, h, w] -> [N, C', scale h, scale w].
        x: [N, C, H, W], any size.
        scale: upscaling factor of ``model``.
        overlap: LR pixels that a corner reaches beyond the middle at least, from 0 on.
        max_pixels: parts of this many LR pixels or more are cut again, as long as that makes
            them smaller.

    Returns:
        [N, C', scale H, scale W].

    Raises:
        ValueError: if ``overlap`` is out of range.
    """
    check_overlap(overlap)
    height, width = x.shape[-2:]
    rows, columns = _halves(height, scale, overlap), _halves(width, scale, overlap)
    if len(rows) == len(columns) == 1:
        return model(x)
    out = None
    for row in rows:
        for column in columns:
            piece = x[..., row.start : row.stop, column.start : column.stop]
            if piece.shape[-2] * piece.shape[-1] < max_pixels:
                piece = model(piece)
            else:
                piece = chopped_forward(model, piece, scale, overlap=overlap, max_pixels=max_pixels)
            if out is None:
                out = piece.new_empty(*piece.shape[:2], scale * height, scale * width)
            out[
                ...,
                scale * row.keep_start : scale * row.keep_stop,
                scale * column.keep_start : scale * column.keep_stop,
            ] = piece[
                ...,
                scale * (row.keep_start - row.start) : scale * (row.keep_stop - row.start),
                scale * (column.keep_start - column.start) : scale
                * (column.keep_stop - column.start),
            ]
    return out


def check_overlap(overlap: int) -> None:
    """Raise ValueError unless corners can reach so far beyond the middle."""
    if not isinstance(overlap, int) or overlap < 0:
        raise ValueError(f'overlap must be an integer of at least 0, got {overlap!r}')


def _halves(length: int, scale: int, overlap: int) -> list[_Span]:
    """Two overlapping spans, or the whole length where a span would reach the other end."""
    middle = length // 2
    reach = middle + overlap
    reach += scale - reach % scale
    if reach >= length:
        return [_Span(0, length, 0, length)]
    return [_Span(0, reach, 0, middle), _Span(length - reach, length, middle, length)]
