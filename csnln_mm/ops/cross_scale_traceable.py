"""Cross-scale non-local attention as one graph of plain operations.

The factorised form of docs/operator.md written out whole: two matrix products, a softmax, and the
diagonal box sum by slices. Nothing depends on the data, so ``torch.export``,
``torch.compile(fullgraph=True)`` and the ONNX exporter take it at a fixed size of the map.
"""

from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import check_inputs, pad_to_multiple
from csnln_mm.ops.cross_scale_reference import candidate_norm
from csnln_mm.ops.precision import no_autocast, similarity_dtype


def cross_scale_attention_traceable(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: int,
    patch_size: int = 3,
    softmax_scale: float = 10.0,
    divisor: float = 6.0,
) -> Tensor:
    """What :func:`~csnln_mm.ops.cross_scale_attention` computes, for compilers and exporters.

    Arguments, result and errors are those of the streaming operator. Similarities, norms, softmax
    and diagonal box sums are computed in float32 (float64 for float64 inputs), the weighted sum in
    the dtype of ``value``. Makes the whole [H W, h w] matrix several times: for maps of 64x64 or
    so. Differentiable any number of times, by autograd.
    """
    check_inputs(query, key, value, scale, patch_size)
    height, width = query.shape[-2:]
    query, value = pad_to_multiple(query, scale), pad_to_multiple(value, scale)
    query_size, key_size = query.shape[-2:], key.shape[-2:]
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
