"""In-scale non-local attention, the reference implementation: the operator's definition.

Plain operations on the whole matrix, which compilers and exporters take.
"""

import torch
from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import check_maps
from csnln_mm.ops.precision import no_autocast, similarity_dtype


def check_in_scale_inputs(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Raise ValueError, with the shapes, unless the three maps fit together."""
    check_maps(query, key, value)
    if key.shape[:2] != query.shape[:2]:
        raise ValueError(
            f'key must have the batch and channels of the query '
            f'{tuple(query.shape)}, got {tuple(key.shape)}'
        )
    if value.shape[0] != key.shape[0] or value.shape[2:] != key.shape[2:]:
        raise ValueError(
            f'value must have the batch and size of the key {tuple(key.shape)}, '
            f'got {tuple(value.shape)}'
        )


def in_scale_attention_reference(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What :func:`~csnln_mm.ops.in_scale_attention` computes, step by step (paper, section 4.2).

    Arguments, result, dtypes and errors are those of the fast operator. Makes the whole [H W, h w]
    matrix. Differentiable any number of times, by autograd.
    """
    check_in_scale_inputs(query, key, value)
    size, dtype = query.shape[2:], similarity_dtype(query, key)
    with no_autocast(query.device):
        query, key = query.flatten(2).to(dtype), key.flatten(2).to(dtype)
        weights = torch.bmm(query.transpose(1, 2), key).softmax(-1).to(value.dtype)
        out = torch.bmm(value.flatten(2), weights.transpose(1, 2))
    return out.unflatten(2, size)
