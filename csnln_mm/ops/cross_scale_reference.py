"""Cross-scale non-local attention, the reference implementation: the operator's definition.

Plain operations on whole matrices. Nothing depends on the data, so ``torch.export``,
``torch.compile(fullgraph=True)`` and the ONNX exporter take it.
"""

from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import check_inputs, map_size, pad_to_multiple
from csnln_mm.ops.precision import no_autocast, similarity_dtype


def cross_scale_attention_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: int,
    patch_size: int = 3,
    softmax_scale: float = 10.0,
    divisor: float = 6.0,
) -> Tensor:
    """What :func:`~csnln_mm.ops.cross_scale_attention` computes, step by step (Eq. 4).

    For queries i, candidates g, the offsets d within a patch, and the s x s blocks B of ``value``:

        S[i, g] = sum_d q[i + d] . k[g + d] / n[g]          two patches are compared
        A[i, :] = softmax(softmax_scale S[i, :])
        Z[j]    = sum_d sum_g A[j - d, g] B[g + d] / divisor  patches are added up where they lie

    Both sums over d are :func:`diagonal_box_sum`, of ``q . k`` and of A. Arguments, result, dtypes
    and errors are those of the fast operator. Makes the whole [H W, h w] matrix several times: for
    maps of 64x64 or so. Differentiable any number of times, by autograd.
    """
    check_inputs(query, key, value, scale, patch_size)
    height, width = query.shape[-2:]
    query, value = pad_to_multiple(query, scale), pad_to_multiple(value, scale)
    query_size, key_size = map_size(query), map_size(key)
    dtype, radius = similarity_dtype(query, key), patch_size // 2
    with no_autocast(query.device):
        query, key = query.to(dtype), key.to(dtype)
        products = torch.bmm(query.flatten(2).transpose(1, 2), key.flatten(2))
        similarity = diagonal_box_sum(products, query_size, key_size, radius)
        norm = candidate_norm(key, patch_size).flatten(2)
        weights = (similarity * (softmax_scale / norm)).softmax(-1)
        weights = diagonal_box_sum(weights, query_size, key_size, radius).to(value.dtype)
        blocks = F.pixel_unshuffle(value / divisor, scale).flatten(2)
        out = torch.bmm(blocks, weights.transpose(1, 2))
    out = F.pixel_shuffle(out.unflatten(2, query_size), scale)
    return out[..., : scale * height, : scale * width]


def candidate_norm(key: Tensor, patch_size: int) -> Tensor:
    """Norm of every zero-padded candidate patch, at least 1e-4.

    Args:
        key: candidates, [N, K, h, w].
        patch_size: odd side p of a patch.

    Returns:
        [N, 1, h, w]: ``n[g] = max(sqrt(sum_d |k[g+d]|^2), 1e-4)``.
    """
    energy = key.square().sum(1, keepdim=True)
    ones = energy.new_ones(1, 1, patch_size, patch_size)
    # The gradient of sqrt at 0 is infinite, so the floor goes under the root.
    return F.conv2d(energy, ones, padding=patch_size // 2).clamp(min=1e-8).sqrt()


def diagonal_box_sum(
    matrix: Tensor, query_size: tuple[int, int], key_size: tuple[int, int], radius: int
) -> Tensor:
    """``D(M)[i, g] = sum over d in [-r, r]^2 of M[i + d, g + d]``, zero outside either map.

    Args:
        matrix: M, [N, H W, h w].
        query_size: (H, W).
        key_size: (h, w).
        radius: r, at least 0.

    Returns:
        [N, H W, h w].
    """
    (height, width), (key_height, key_width) = query_size, key_size
    padded = F.pad(matrix.unflatten(2, key_size).unflatten(1, query_size), 8 * (radius,))
    offsets = range(2 * radius + 1)
    rows = reduce(add, (padded[:, d : d + height, :, d : d + key_height] for d in offsets))
    columns = reduce(add, (rows[:, :, d : d + width, :, d : d + key_width] for d in offsets))
    return columns.flatten(3).flatten(1, 2)
