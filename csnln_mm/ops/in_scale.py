"""In-scale non-local attention, exactly and in bounded memory.

Plain attention between the positions of a map. The queries go through in tiles, whose rows of the
[H W, h w] matrix of weights are made, used and overwritten; in the backward pass they are made
again.
"""
from math import prod
from typing import Any, Iterator, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .in_scale_reference import check_in_scale_inputs
from .precision import (block_elements, product, product_dtype, similarity_dtype, softmax,
                        softmax_backward)

__all__ = ['in_scale_attention', 'choose_in_scale_tile']


def choose_in_scale_tile(positions: int, device: torch.device) -> int:
    """The tile by the rule: 2^20 elements of the matrix on a CPU, 2^24 elsewhere.

    At least 256 queries, with fewer of them matrix products are slow; where these take more
    than 8 times the elements, as many as that, but at least 64.

    Args:
        positions: of the key, h w.
        device: of the computation.
    """
    elements = block_elements(device)
    return max(64, min(max(256, elements // positions), 8 * elements // positions))


# Compilers gain nothing on a few large kernels, and would unroll the loops over tiles.
@torch.compiler.disable
def in_scale_attention(query: Tensor,
                       key: Tensor,
                       value: Tensor,
                       *,
                       tile: Optional[int] = None) -> Tensor:
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
    """
    check_in_scale_inputs(query, key, value)
    if tile is not None and tile < 1:
        raise ValueError(f'tile must be a positive number of query positions, got {tile}')
    size = query.shape[2:]
    query, key, value = query.flatten(2), key.flatten(2), value.flatten(2)
    with torch.autocast(query.device.type, enabled=False):
        if tile is None and query.is_cuda:
            out = _fused_attention(query, key, value)
            if out is not None:
                return out.unflatten(2, size)
        tile = tile or choose_in_scale_tile(key.shape[2], query.device)
        return _InScaleAttention.apply(query, key, value, tile).unflatten(2, size)


def _fused_attention(query: Tensor, key: Tensor, value: Tensor) -> Optional[Tensor]:
    """Torch's attention by a kernel in bounded memory, or None if it has none for these inputs."""
    if not query.dtype == key.dtype == value.dtype:
        return None
    # [N, 1 head, positions, channels], as the kernels want them: channels last.
    inputs = [x.transpose(1, 2).unsqueeze(1).contiguous() for x in (query, key, value)]
    with torch.backends.cuda.sdp_kernel(enable_math=False):
        # The choice without the math kernel: 1 or 2 are the flash and the memory-efficient one.
        if torch._fused_sdp_choice(*inputs, None, 0., False, scale=1.) not in (1, 2):
            return None
        out = F.scaled_dot_product_attention(*inputs, scale=1.)
    return out.squeeze(1).transpose(1, 2)


class _InScaleAttention(torch.autograd.Function):
    """Positions are flat here: query [N, K, H W], key [N, K, h w], value [N, C, h w]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, tile: int) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.tile = tile
        out = value.new_empty(*value.shape[:2], query.shape[2])
        queries, keys, values = _computed_in(query, key, value)
        for samples, positions, (logits, weights) in _tiles(queries, keys, tile, matrices=2):
            _compute_weights(queries[samples, :, positions], keys[samples], logits, weights)
            weights = weights.transpose(1, 2).to(values.dtype)
            out[samples, :, positions] = torch.bmm(values[samples], weights)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        return (*_InScaleAttentionGrad.apply(grad, *ctx.saved_tensors, ctx.tile), None)


class _InScaleAttentionGrad(torch.autograd.Function):
    """The gradients of query, key and value from that of the output."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, query: Tensor, key: Tensor, value: Tensor,
                tile: int) -> Tuple[Tensor, ...]:
        with torch.autocast(grad.device.type, enabled=False):
            queries, keys, values = _computed_in(query, key, value)
            grad_queries = torch.empty_like(queries)
            # Positions before channels: matrix products are added up faster so.
            grad_keys = torch.zeros_like(keys.transpose(1, 2))
            grad_values = torch.zeros_like(values.transpose(1, 2))
            for samples, positions, matrices in _tiles(queries, keys, tile, matrices=3):
                logits, weights, grad_logits = matrices
                tile_queries = queries[samples, :, positions]
                _compute_weights(tile_queries, keys[samples], logits, weights)
                pixels = grad[samples, :, positions].to(values.dtype).transpose(1, 2)
                grad_values[samples].baddbmm_(weights.transpose(1, 2).to(values.dtype), pixels)

                grad_weights = product(pixels, values[samples], out=logits)
                softmax_backward(grad_weights, weights, out=grad_logits)
                grad_logits = grad_logits.transpose(1, 2)
                grad_queries[samples, :, positions] = torch.bmm(keys[samples], grad_logits)
                grad_keys[samples].baddbmm_(grad_logits, tile_queries.transpose(1, 2))
        grads = grad_queries, grad_keys.transpose(1, 2), grad_values.transpose(1, 2)
        return tuple(g.to(x.dtype) for g, x in zip(grads, (query, key, value)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError('in_scale_attention can be differentiated only once')


def _computed_in(query: Tensor, key: Tensor, value: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """The inputs in the dtypes of the computation."""
    dtype = similarity_dtype(query, key)
    return query.to(dtype), key.to(dtype), value.to(product_dtype(value))


def _tiles(queries: Tensor, keys: Tensor, tile: int,
           matrices: int) -> Iterator[Tuple[slice, slice, List[Tensor]]]:
    """Samples, query positions, and that many matrices [n, positions, h w] of reused memory."""
    n, _, positions = queries.shape
    candidates, tile = keys.shape[2], min(tile, positions)
    # Small maps: as many samples at a time as fit.
    fitting = block_elements(queries.device) // (positions * candidates)
    group = min(n, max(1, fitting)) if tile == positions else 1
    memory = queries.new_empty(matrices, group * tile * candidates)
    for sample in range(0, n, group):
        samples = slice(sample, min(sample + group, n))
        for start in range(0, positions, tile):
            stop = min(start + tile, positions)
            shape = samples.stop - sample, stop - start, candidates
            yield samples, slice(start, stop), [m[:prod(shape)].view(shape) for m in memory]


def _compute_weights(queries: Tensor, keys: Tensor, logits: Tensor, weights: Tensor) -> None:
    product(queries.transpose(1, 2), keys, out=logits)
    softmax(logits, out=weights)
