"""The weights of single queries, as the definitions of the attention operators have them.

The operators never hold the matrix of weights. These functions compute the few rows of it that
somebody wants to look at.
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
    """Rows of A in docs/operator.md: how much each candidate counts for some queries.

    Args:
        query: [N, K, H, W].
        key: [N, K, ceil(H / scale), ceil(W / scale)].
        positions: (row, column) of each query.
        scale: as of :func:`~csnln_mm.ops.cross_scale_attention`.
        patch_size: the same.
        softmax_scale: the same.

    Returns:
        [N, number of positions, h, w], float32 or more precise; each [h, w] adds up to 1.

    Raises:
        ValueError: if there are no positions, or one lies outside the query.
    """
    check_positions(positions, query)
    dtype = similarity_dtype(query, key)
    radius = patch_size // 2
    query = F.pad(pad_to_multiple(query.to(dtype), scale), [radius] * 4)
    key = key.to(dtype)
    weights = []
    with no_autocast(query.device):
        norm = candidate_norm(key, patch_size)
        for n in range(len(query)):
            # The patches around the queries are the kernels, the candidates what they look for.
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
    """How much each position counts for some queries of the in-scale attention.

    Args:
        query: [N, K, H, W].
        key: [N, K, h, w].
        positions: (row, column) of each query.

    Returns:
        [N, number of positions, h, w], float32 or more precise; each [h, w] adds up to 1.

    Raises:
        ValueError: if there are no positions, or one lies outside the query.
    """
    check_positions(positions, query)
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
