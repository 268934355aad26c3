"""Cross-scale non-local attention, exactly and in bounded memory.

The definition is :mod:`.cross_scale_reference`; docs/operator.md derives this form. In short, with
D the diagonal box sum, k and v cut into candidates g and into s x s blocks B[g],

    S = D(q^T k) / n,    A = softmax(softmax_scale S),    Z = D(A) B / divisor

so that each matrix product works on pixels rather than on p x p patches. The query rows stream
through these steps in blocks, and nothing of size H W x h w exists.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import check_inputs, map_size, pad_to_multiple
from csnln_mm.ops.cross_scale_reference import candidate_norm
from csnln_mm.ops.cross_scale_strip import CandidateGrads, Candidates, StripPass, cut_into_strips
from csnln_mm.ops.diagonal_box_sum import MatrixLayout
from csnln_mm.ops.precision import block_elements, no_autocast, similarity_dtype
from csnln_mm.ops.uncompiled import uncompiled


class Tile(NamedTuple):
    """The query positions of one step: ``rows`` x ``columns`` of the query map."""

    rows: int
    columns: int


def choose_tile(
    query_size: tuple[int, int], key_size: tuple[int, int], patch_size: int, device: torch.device
) -> Tile:
    """The default tile: 2^20 elements of the matrix on a CPU, 2^24 elsewhere.

    As many whole rows of queries as fit beside the 4 r rows of intermediate results, and at least
    4. If 4 rows have more than 4 times as many elements, only as many columns of them as have 4
    times, but at least 32, since each strip also computes a halo of 2 r columns on either side.
    """
    height, width = query_size
    radius = patch_size // 2
    layout = MatrixLayout(query_size, key_size, radius)
    elements = block_elements(device)
    rows = min(height, max(4, elements // layout.row_elements - 4 * radius))
    columns = 4 * elements // (rows * layout.candidates) - radius
    return Tile(rows, min(width, max(32, columns)))


# Compilers gain nothing on a few large kernels, and would unroll the loops over tiles.
@uncompiled
def cross_scale_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: int,
    patch_size: int = 3,
    softmax_scale: float = 10.0,
    divisor: float = 6.0,
    tile: tuple[int, int] | None = None,
) -> Tensor:
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
        divisor: constant in place of the number of patches that overlap.
        tile: (rows, columns) of queries to work on at a time; :func:`choose_tile` by default.
            Changes time and memory, not the result.

    Returns:
        [N, C, scale H, scale W], in the dtype of ``value``.

    Raises:
        ValueError: if the shapes do not fit together or an argument is out of range.

    Examples:
        >>> import torch
        >>> from csnln_mm.ops import cross_scale_attention
        >>> query, key = torch.rand(1, 8, 6, 10), torch.rand(1, 8, 3, 5)  # a map, and it at 1/2
        >>> cross_scale_attention(query, key, torch.rand(1, 16, 6, 10), scale=2).shape
        torch.Size([1, 16, 12, 20])
    """
    check_inputs(query, key, value, scale, patch_size)
    if tile is not None and (len(tile) != 2 or min(tile) < 1):
        raise ValueError(f'tile must be two positive integers (rows, columns), got {tile}')
    height, width = query.shape[-2:]
    query, value = pad_to_multiple(query, scale), pad_to_multiple(value, scale)
    if tile is None:
        tile = choose_tile(map_size(query), map_size(key), patch_size, query.device)
    options = _Options(scale, patch_size // 2, softmax_scale, divisor, Tile(*tile))
    with no_autocast(query.device):
        norm = candidate_norm(key.to(similarity_dtype(query, key)), patch_size)
        out = _CrossScaleAttention.apply(query, key, value, norm, options)
    return out[..., : scale * height, : scale * width]


class _Options(NamedTuple):
    scale: int
    radius: int
    softmax_scale: float
    divisor: float
    tile: Tile


class _CrossScaleAttention(torch.autograd.Function):
    """Sides of the query map are multiples of the scale here; ``norm`` is n, [N, 1, h, w]."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, norm: Tensor, options: _Options
    ) -> Tensor:
        ctx.save_for_backward(query, key, value, norm)
        ctx.options = options
        n, channels, height, width = value.shape
        out = value.new_empty(n, channels, options.scale * height, options.scale * width)
        for samples in _sample_groups(query, key, options):
            candidates = _candidates(key[samples], value[samples], norm[samples], options)
            for strip_pass in _strip_passes(query[samples], candidates, options):
                strip_pass.forward(out[samples])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (*_CrossScaleAttentionGrad.apply(*grads, *ctx.saved_tensors, ctx.options), None)


class _CrossScaleAttentionGrad(torch.autograd.Function):
    """The gradients of query, key, value and norm from that of the output."""

    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        norm: Tensor,
        options: _Options,
    ) -> tuple[Tensor, ...]:
        # Strips add up in the dtype of their computation.
        grad_query = torch.zeros_like(query, dtype=norm.dtype)
        grads = [torch.empty_like(x) for x in (key, value, norm)]
        with no_autocast(grad.device):
            for samples in _sample_groups(query, key, options):
                candidates = _candidates(key[samples], value[samples], norm[samples], options)
                grad_candidates = CandidateGrads(candidates)
                for strip_pass in _strip_passes(query[samples], candidates, options):
                    strip_pass.backward(grad[samples], grad_query[samples], grad_candidates)
                grad_candidates.write(*(g[samples] for g in grads))
            # Up to here the last of them is the gradient of log(n).
            grads[-1] /= norm
        return (grad_query.to(query.dtype), *grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError('cross_scale_attention can be differentiated only once')


def _sample_groups(query: Tensor, key: Tensor, options: _Options) -> Iterator[slice]:
    """Groups of as many samples as fit into one block of the matrix, if their maps fit whole."""
    layout = MatrixLayout(map_size(query), map_size(key), options.radius)
    whole_map = options.tile.rows >= layout.height and options.tile.columns >= layout.width
    fitting = block_elements(query.device) // (layout.height * layout.row_elements)
    size = max(1, fitting) if whole_map else 1
    for start in range(0, len(query), size):
        yield slice(start, start + size)


def _candidates(key: Tensor, value: Tensor, norm: Tensor, options: _Options) -> Candidates:
    return Candidates(
        key, value, options.softmax_scale / norm, options.scale, options.radius, options.divisor
    )


def _strip_passes(query: Tensor, candidates: Candidates, options: _Options) -> Iterator[StripPass]:
    for strip in cut_into_strips(query.shape[-1], options.tile.columns, options.radius):
        yield StripPass(query, candidates, strip, options.tile.rows)
