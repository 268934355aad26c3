"""Cross-scale non-local attention, exactly and in bounded memory.

The formula is in :mod:`.cross_scale_reference`, the derivation of what is done here in
docs/operator.md. In short, with D the diagonal box sum, k and v cut into candidates g and into
s x s blocks B[g],

    S = D(q^T k) / n,    A = softmax(softmax_scale S),    Z = D(A) B / divisor

so that each matrix product works on pixels rather than on p x p patches. The query rows stream
through these steps in blocks, and nothing of size H W x h w exists.
"""
from typing import Any, Iterator, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .cross_scale_geometry import check_inputs, pad_to_multiple
from .cross_scale_reference import candidate_norm
from .cross_scale_strip import StripPass, cut_into_strips, product_dtype
from .diagonal_box_sum import MatrixLayout

__all__ = ['cross_scale_attention', 'Tile', 'choose_tile']

# Elements of a block of the matrix: on a CPU it should stay in cache, a GPU wants it filled.
CPU_BLOCK = 2**20
CUDA_BLOCK = 2**24


class Tile(NamedTuple):
    """Query positions that are worked on at a time: ``rows`` x ``columns`` of the query map."""
    rows: int
    columns: int


def _block_elements(device: torch.device) -> int:
    return CPU_BLOCK if device.type == 'cpu' else CUDA_BLOCK


def choose_tile(query_size: Tuple[int, int], key_size: Tuple[int, int], patch_size: int,
                device: torch.device) -> Tile:
    """The tile whose block of the matrix has about 2^20 elements on a CPU, 2^24 elsewhere.

    Whole rows, as many as fit. Where not even 4 rows fit, 4 rows of as many columns as fit but
    at least 16: narrower strips would spend more on their halo of 2 r columns on either side
    than on themselves.
    """
    height, width = query_size
    layout = MatrixLayout(query_size, key_size, patch_size // 2)
    elements = _block_elements(device)
    rows = elements // layout.row_elements
    if rows >= min(4, height):
        return Tile(min(rows, height), width)
    rows = min(4, height)
    return Tile(rows, min(width, max(16, elements // (rows * layout.candidates))))


def cross_scale_attention(query: Tensor,
                          key: Tensor,
                          value: Tensor,
                          *,
                          scale: int,
                          patch_size: int = 3,
                          softmax_scale: float = 10.,
                          divisor: float = 6.,
                          tile: Optional[Tuple[int, int]] = None) -> Tensor:
    """Rebuild every query pixel as ``scale x scale`` pixels from patches of the same map (Eq. 4).

    Each p x p patch of queries is compared with all p x p patches of candidates, the candidates
    being the map at 1/scale of its size; the softmax of the similarities weights the
    (scale p) x (scale p) patches of ``value`` that the candidates stand for. Overlapping
    results are added up and divided by ``divisor``.

    Any floating dtype. Similarities, norms and softmax are computed in float32 (float64 for
    float64 inputs), the weighted sum in the dtype of ``value`` (in float32 for 16-bit types on a
    CPU). Time grows with (H W)^2, memory with H W. Differentiable once.

    Args:
        query: [N, K, H, W], any H, W >= 1. Where ``scale`` does not divide them, ``query`` and
            ``value`` are padded by replication at the bottom and right, and the result cropped.
        key: [N, K, ceil(H / scale), ceil(W / scale)], made from the map that is padded likewise.
        value: [N, C, H, W].
        scale: s, a positive integer.
        patch_size: p, odd.
        softmax_scale: factor on the similarities before the softmax.
        divisor: constant that stands for the number of patches that overlap.
        tile: (rows, columns) of queries to work on at a time; :func:`choose_tile` by default.
            Changes time and memory, not the result.

    Returns:
        [N, C, scale H, scale W], in the dtype of ``value``.

    Raises:
        ValueError: if the shapes do not fit together or an argument is out of range.
    """
    check_inputs(query, key, value, scale, patch_size)
    if tile is not None and (len(tile) != 2 or min(tile) < 1):
        raise ValueError(f'tile must be two positive integers (rows, columns), got {tile}')
    height, width = query.shape[-2:]
    query, value = pad_to_multiple(query, scale), pad_to_multiple(value, scale)
    tile = Tile(*tile) if tile else choose_tile(query.shape[-2:], key.shape[-2:], patch_size,
                                                query.device)
    with torch.autocast(query.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(query.dtype, key.dtype), torch.float32)
        logit_scale = softmax_scale / candidate_norm(key.to(dtype), patch_size)
        out = _CrossScaleAttention.apply(query, key, value, logit_scale, scale, patch_size // 2,
                                         divisor, tile)
    return out[..., :scale * height, :scale * width]


class _CrossScaleAttention(torch.autograd.Function):
    """Sides of the query map are multiples of the scale here."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, logit_scale: Tensor,
                scale: int, radius: int, divisor: float, tile: Tile) -> Tensor:
        ctx.save_for_backward(query, key, value, logit_scale)
        ctx.options = scale, radius, divisor, tile
        n, channels, height, width = value.shape
        out = value.new_empty(n, channels, scale * height, scale * width)
        for samples, strip in _passes((query, key, value, logit_scale), *ctx.options):
            strip.forward(out[samples])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        inputs = query, key, value, logit_scale = ctx.saved_tensors
        # Strips add up in the dtype of their computation.
        grads = [
            torch.zeros_like(query, dtype=logit_scale.dtype),
            torch.zeros_like(key, dtype=logit_scale.dtype),
            torch.zeros_like(value, dtype=product_dtype(value)),
            torch.zeros_like(logit_scale)
        ]
        with torch.autocast(query.device.type, enabled=False):
            for samples, strip in _passes(inputs, *ctx.options):
                strip.backward(grad[samples], *(g[samples] for g in grads))
        return (*(g.to(x.dtype) for g, x in zip(grads, inputs)), None, None, None, None)


def _passes(inputs: Sequence[Tensor], scale: int, radius: int, divisor: float,
            tile: Tile) -> Iterator[Tuple[slice, StripPass]]:
    """Every strip of every group of samples."""
    query, key = inputs[:2]
    layout = MatrixLayout(query.shape[-2:], key.shape[-2:], radius)
    whole_map = tile.rows >= layout.height and tile.columns >= layout.width
    fitting = _block_elements(query.device) // (layout.height * layout.row_elements)
    size = max(1, fitting) if whole_map else 1
    for start in range(0, len(query), size):
        samples = slice(start, start + size)
        for strip in cut_into_strips(layout.width, tile.columns, radius):
            yield samples, StripPass(*(x[samples] for x in inputs), strip, scale, radius, divisor,
                                     tile.rows)
