"""In-scale non-local attention as one graph of plain operations, for compilers and exporters."""

import torch
from torch import Tensor

from csnln_mm.ops.in_scale_reference import check_in_scale_inputs
from csnln_mm.ops.precision import no_autocast, similarity_dtype


def in_scale_attention_traceable(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What :func:`~csnln_mm.ops.in_scale_attention` computes, for compilers and exporters.

    Arguments, result and errors are those of the streaming operator. Similarities and softmax are
    computed in float32 (float64 for float64 inputs), the weighted sum in the dtype of ``value``.
    Makes the whole [H W, h w] matrix. Differentiable any number of times, by autograd.
    """
    check_in_scale_inputs(query, key, value)
    size, dtype = query.shape[2:], similarity_dtype(query, key)
    with no_autocast(query.device):
        query, key = query.flatten(2).to(dtype), key.flatten(2).to(dtype)
        weights = torch.bmm(query.transpose(1, 2), key).softmax(-1).to(value.dtype)
        out = torch.bmm(value.flatten(2), weights.transpose(1, 2))
    return out.unflatten(2, size)
