"""The attention weights of single queries, as in the operators' definitions.

The operators never hold the whole matrix of weights. These functions compute single rows of it, to
be shown.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import pad_to_multiple
from csnln_mm.ops.cross_scale_reference import candidate_norm
from csnln_mm.ops.precision import no_autocast, similarity_dtype


def cross_scale_weights(
    query: Tensor,
    key: Tensor,
    positions: Sequence[tuple[int, int]],
    *,
    scale: int,
    patch_size: int = 3,
    softmax_scale: float = 10.0,
) -> Tensor:
    """The weights of all candidates for chosen queries: rows of A in docs/operator.md.

    Args:
        query: [N, K, H, W].
        key: [N, K, ceil(H / scale), ceil(W / scale)].
        positions: (row, column) of each query, within the map.
        scale: s, as in :func:`~csnln_mm.ops.cross_scale_attention`.
        patch_size: p.
        softmax_scale: factor on the similarities before the softmax.

    Returns:
        [N, number of positions, h, w], float32 or more precise; each [h, w] adds up to 1.
    """
    dtype = similarity_dtype(query, key)
    radius = patch_size // 2
    query = F.pad(pad_to_multiple(query.to(dtype), scale), [radius] * 4)
    key = key.to(dtype)
    weights = []
    with no_autocast(query.device):
        norm = candidate_norm(key, patch_size)
        for n in range(len(query)):
            # The patches around the queries are the kernels of a convolution over the candidates.
            patches = torch.stack(
                [
                    query[n, :, row : row + patch_size, column : column + patch_size]
                    for row, column in positions
                ]
            )
            similarity = F.conv2d(key[n : n + 1], patches, padding=radius)[0] / norm[n]
            weights.append((softmax_scale * similarity).flatten(1).softmax(1).view_as(similarity))
    return torch.stack(weights)


def in_scale_weights(query: Tensor, key: Tensor, positions: Sequence[tuple[int, int]]) -> Tensor:
    """The weights of all positions for chosen queries of the in-scale attention.

    Args:
        query: [N, K, H, W].
        key: [N, K, h, w].
        positions: (row, column) of each query, within the map.

    Returns:
        [N, number of positions, h, w], float32 or more precise; each [h, w] adds up to 1.
    """
    dtype = similarity_dtype(query, key)
    rows, columns = (list(indices) for indices in zip(*positions))
    queries = query[:, :, rows, columns].to(dtype)
    with no_autocast(query.device):
        similarity = queries.transpose(1, 2) @ key.to(dtype).flatten(2)
    return similarity.softmax(-1).unflatten(2, key.shape[2:])


def check_positions(positions: Sequence[tuple[int, int]], query: Tensor) -> None:
    """Raise ValueError unless there are positions, all of them on the map."""
    height, width = query.shape[2:]
    if not positions:
        raise ValueError('positions must not be empty')
    for row, column in positions:
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(
                f'position ({row}, {column}) lies outside the map of {height} rows '
                f'and {width} columns'
            )
