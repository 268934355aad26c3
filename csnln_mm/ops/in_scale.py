"""In-scale non-local attention, exactly and in bounded memory.

Plain attention between the positions of a map, one block of the [H W, h w] matrix of weights at a
time; maxima and sums of its rows are carried from block to block. The backward pass recomputes the
weights from the sums.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from math import isqrt, log, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from csnln_mm.ops.in_scale_reference import check_in_scale_inputs
from csnln_mm.ops.precision import (
    block_elements,
    log_negligible,
    no_autocast,
    product,
    product_dtype,
    similarity_dtype,
)
from csnln_mm.ops.uncompiled import uncompiled

# Softmax(x) by powers of 2 of x / log(2): exp2 takes a third of the time of exp on some CPUs.
_LOG_2 = log(2.0)


def choose_in_scale_tile(positions: int, device: torch.device) -> int:
    """The default tile: blocks of at most 2^20 elements of the matrix on a CPU, 2^24 elsewhere.

    Blocks are square and equal, so that none is so narrow that its products are slow.

    Args:
        positions: of the query, H W.
        device: of the computation.
    """
    return _equal_part(positions, isqrt(block_elements(device)))


def _equal_part(length: int, limit: int) -> int:
    """The length of a part if the fewest equal parts within the limit are taken."""
    parts = -(-length // max(1, limit))
    return -(-length // parts)


# Compilers gain nothing on a few large kernels, and would unroll the loops over tiles.
@uncompiled
def in_scale_attention(
    query: Tensor, key: Tensor, value: Tensor, *, tile: int | None = None
) -> Tensor:
    """Rebuild every query position from all positions of ``value`` (paper, section 4.2).

    ``out_i = sum_j softmax_j(q_i . k_j) v_j``, without a factor on the similarities.

    Any floating dtype. Similarities and softmax are computed in float32 (float64 for float64
    inputs), the weighted sum in the dtype of ``value`` (in float32 for 16-bit types on a CPU).
    Time grows with (H W)^2, memory with H W. Differentiable once. On CUDA torch's own attention
    is used where it has a kernel that never makes the matrix of weights.

    Args:
        query: [N, K, H, W], any H, W >= 1.
        key: [N, K, h, w], any h, w >= 1; the size of the query in the network.
        value: [N, C, h, w].
        tile: query positions to work on at a time; :func:`choose_in_scale_tile` by default, and
            torch's own attention only then. Changes time and memory, not the result.

    Returns:
        [N, C, H, W], in the dtype of ``value``.

    Raises:
        ValueError: if the shapes do not fit together or an argument is out of range.

    Examples:
        >>> import torch
        >>> from csnln_mm.ops import in_scale_attention
        >>> query, key, value = torch.rand(3, 1, 8, 6, 10)
        >>> in_scale_attention(query, key, value).shape
        torch.Size([1, 8, 6, 10])
    """
    check_in_scale_inputs(query, key, value)
    if tile is not None and tile < 1:
        raise ValueError(f'tile must be a positive number of query positions, got {tile}')
    size = query.shape[2:]
    query, key, value = query.flatten(2), key.flatten(2), value.flatten(2)
    with no_autocast(query.device):
        if tile is None and query.is_cuda:
            out = _fused_attention(query, key, value)
            if out is not None:
                return out.unflatten(2, size)
        tile = tile or choose_in_scale_tile(query.shape[2], query.device)
        return _InScaleAttention.apply(query, key, value, tile).unflatten(2, size)


def _fused_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
    """Torch's attention by a kernel in bounded memory, or None if it has none for these inputs."""
    if not query.dtype == key.dtype == value.dtype:
        return None
    # [N, 1 head, positions, channels], as the kernels want them: channels last.
    query, key, value = (x.transpose(1, 2).unsqueeze(1).contiguous() for x in (query, key, value))
    with _kernels_in_bounded_memory():
        # The choice without the math kernel: 1 or 2 are the flash and the memory-efficient one.
        choice = torch.ops.aten._fused_sdp_choice(query, key, value, None, 0.0, False, scale=1.0)
        if choice not in (1, 2):
            return None
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)
    return out.squeeze(1).transpose(1, 2)


def _kernels_in_bounded_memory() -> AbstractContextManager:
    """A context in which torch's attention never makes the matrix of weights, or fails."""
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:  # before torch 2.3
        return torch.backends.cuda.sdp_kernel(enable_math=False)
    return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION])


class _InScaleAttention(torch.autograd.Function):
    """Positions are flat here: query [N, K, H W], key [N, K, h w], value [N, C, h w]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, tile: int) -> Tensor:
        out = value.new_empty(*value.shape[:2], query.shape[2])
        queries, keys, values = _computed_in(query, key, value)
        queries = queries / _LOG_2
        log2_sums = queries.new_empty(len(queries), queries.shape[2], 1)
        for samples, positions, blocks in _tiles(queries, keys, tile, matrices=1):
            rows = _RunningSoftmax()
            for candidates, (logits,) in blocks:
                product(
                    queries[samples, :, positions].transpose(1, 2),
                    keys[samples, :, candidates],
                    out=logits,
                )
                rows.add(logits, values[samples, :, candidates].transpose(1, 2))
            out[samples, :, positions] = rows.mean().transpose(1, 2)
            log2_sums[samples, positions] = rows.log2_sum()
        ctx.save_for_backward(query, key, value, out, log2_sums)
        ctx.tile = tile
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (*_InScaleAttentionGrad.apply(*grads, *ctx.saved_tensors, ctx.tile), None)


class _InScaleAttentionGrad(torch.autograd.Function):
    """The gradients of query, key and value from that of the output."""

    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        out: Tensor,
        log2_sums: Tensor,
        tile: int,
    ) -> tuple[Tensor, ...]:
        with no_autocast(grad.device):
            queries, keys, values = _computed_in(query, key, value)
            queries = queries / _LOG_2
            # Positions before channels: matrix products are added up faster so.
            grad_queries, grad_keys, grad_values = (
                torch.zeros_like(x.transpose(1, 2)) for x in (queries, keys, values)
            )
            for samples, positions, blocks in _tiles(queries, keys, tile, matrices=2):
                tile_queries = queries[samples, :, positions].transpose(1, 2)
                pixels = grad[samples, :, positions].to(values.dtype).transpose(1, 2)
                # The softmax subtracts it from the gradients of all weights of a row.
                shares = pixels * out[samples, :, positions].to(values.dtype).transpose(1, 2)
                shares = shares.sum(-1, keepdim=True, dtype=log2_sums.dtype)
                for candidates, (weights, grad_logits) in blocks:
                    tile_keys = keys[samples, :, candidates]
                    product(tile_queries, tile_keys, out=weights)
                    _exp2_of_difference(weights, log2_sums[samples, positions])
                    grad_values[samples, candidates].baddbmm_(
                        weights.transpose(1, 2).to(values.dtype), pixels
                    )
                    product(pixels, values[samples, :, candidates], out=grad_logits)
                    grad_logits.sub_(shares).mul_(weights)
                    grad_queries[samples, positions].baddbmm_(
                        grad_logits, tile_keys.transpose(1, 2)
                    )
                    grad_keys[samples, candidates].baddbmm_(
                        grad_logits.transpose(1, 2), tile_queries
                    )
            grad_keys *= _LOG_2  # made with the queries above
        grads = (g.transpose(1, 2) for g in (grad_queries, grad_keys, grad_values))
        return tuple(g.to(x.dtype) for g, x in zip(grads, (query, key, value)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError('in_scale_attention can be differentiated only once')


class _RunningSoftmax:
    """Softmax to base 2 of rows that arrive in blocks, and the mean of values that it weights."""

    def __init__(self) -> None:
        self.is_empty = True
        # From the first block on.
        self.maxima: Tensor
        self.sums: Tensor
        self.weighted: Tensor

    def add(self, logits: Tensor, values: Tensor) -> None:
        """Add values [n, candidates, C] by logits [n, rows, candidates], which are overwritten."""
        maxima = logits.amax(-1, keepdim=True)
        if not self.is_empty:
            maxima = torch.maximum(maxima, self.maxima)
        weights = _exp2_of_difference(logits, maxima)
        sums = weights.sum(-1, keepdim=True)
        weights = weights.to(values.dtype)
        if self.is_empty:
            self.weighted = torch.bmm(weights, values).to(sums.dtype)
        else:
            # Earlier sums are relative to earlier maxima.
            fall = _exp2_of_difference(self.maxima, maxima)
            sums += self.sums.mul_(fall)
            self.weighted.mul_(fall)
            if weights.dtype == self.weighted.dtype:
                self.weighted.baddbmm_(weights, values)
            else:
                self.weighted += torch.bmm(weights, values)
        self.maxima, self.sums, self.is_empty = maxima, sums, False

    def mean(self) -> Tensor:
        """[n, rows, C]."""
        return self.weighted / self.sums

    def log2_sum(self) -> Tensor:
        """Logarithm to base 2 of the sum of the powers of 2, [n, rows, 1]."""
        return self.sums.log2() + self.maxima


def _exp2_of_difference(x: Tensor, largest: Tensor) -> Tensor:
    """2^(x - largest) in place of x, which is at most ``largest``; no denormal numbers."""
    return x.sub_(largest).clamp_(min=log_negligible(x.dtype) / _LOG_2).exp2_()


def _computed_in(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs in the dtypes of the computation."""
    dtype = similarity_dtype(query, key)
    return query.to(dtype), key.to(dtype), value.to(product_dtype(value))


# A slice of candidates with some matrices [n, positions, candidates].
_Block = tuple[slice, list[Tensor]]


def _tiles(
    queries: Tensor, keys: Tensor, tile: int, matrices: int
) -> Iterator[tuple[slice, slice, Iterator[_Block]]]:
    """Samples and query positions, and the blocks of their rows of the matrix.

    The matrices are the same memory again and again.
    """
    n, _, positions = queries.shape
    tile, limit = min(tile, positions), block_elements(queries.device)
    width = _equal_part(keys.shape[2], limit // tile)
    # Small maps: as many samples at a time as fit.
    whole = tile == positions and width == keys.shape[2]
    group = min(n, max(1, limit // (tile * width))) if whole else 1
    memory = queries.new_empty(matrices, group * tile * width)

    def blocks(samples: int, rows: int) -> Iterator[_Block]:
        for start in range(0, keys.shape[2], width):
            stop = min(start + width, keys.shape[2])
            shape = samples, rows, stop - start
            yield slice(start, stop), [m[: prod(shape)].view(shape) for m in memory]

    for sample in range(0, n, group):
        last = min(sample + group, n)
        for start in range(0, positions, tile):
            stop = min(start + tile, positions)
            yield slice(sample, last), slice(start, stop), blocks(last - sample, stop - start)
