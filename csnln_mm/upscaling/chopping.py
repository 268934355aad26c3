"""Inference in quarters, as the published numbers of CSNLN were measured."""

from collections.abc import Callable

from torch import Tensor


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
        overlap: LR pixels by which a corner reaches beyond the middle, at least; 0 or more.
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
    for row, kept_rows in rows:
        for column, kept_columns in columns:
            piece = x[..., row, column]
            if piece.shape[-2] * piece.shape[-1] < max_pixels:
                piece = model(piece)
            else:
                piece = chopped_forward(model, piece, scale, overlap=overlap, max_pixels=max_pixels)
            if out is None:
                out = piece.new_empty(*piece.shape[:2], scale * height, scale * width)
            part = piece[
                ...,
                _upscaled(kept_rows, scale, row.start),
                _upscaled(kept_columns, scale, column.start),
            ]
            out[..., _upscaled(kept_rows, scale), _upscaled(kept_columns, scale)] = part
    assert out is not None
    return out


def check_overlap(overlap: int) -> None:
    """Raise ValueError unless corners can reach this far beyond the middle."""
    if not isinstance(overlap, int) or overlap < 0:
        raise ValueError(f'overlap must be an integer of at least 0, got {overlap!r}')


def _upscaled(part: slice, scale: int, origin: int = 0) -> slice:
    """LR rows or columns as those of a result that begins at ``origin``."""
    return slice(scale * (part.start - origin), scale * (part.stop - origin))


def _halves(length: int, scale: int, overlap: int) -> list[tuple[slice, slice]]:
    """Two overlapping halves, or the whole length where one would reach the other end.

    Each is what the model sees, and the part of its result that is kept.
    """
    middle = length // 2
    reach = middle + overlap
    reach += scale - reach % scale
    if reach >= length:
        return [(slice(0, length), slice(0, length))]
    return [
        (slice(0, reach), slice(0, middle)),
        (slice(length - reach, length), slice(middle, length)),
    ]
