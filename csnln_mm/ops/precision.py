"""The dtypes and block sizes of the attention operators."""

from contextlib import AbstractContextManager, nullcontext
from math import log

import torch
from torch import Tensor

# Elements of a block of a matrix: it should stay in a CPU's cache, and fill a GPU.
CPU_BLOCK = 2**20
GPU_BLOCK = 2**24


def block_elements(device: torch.device) -> int:
    """The approximate number of elements of a matrix to work on at a time."""
    return CPU_BLOCK if device.type == 'cpu' else GPU_BLOCK


def no_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which operations compute in the dtypes of their inputs."""
    try:
        return torch.autocast(device.type, enabled=False)
    except RuntimeError:  # torch has none to disable on this kind of device, such as 'meta'
        return nullcontext()


def is_autocasting(device_type: str) -> bool:
    """Whether operations choose their dtype."""
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # before torch 2.4
        return torch.is_autocast_cpu_enabled() if device_type == 'cpu' else False


def similarity_dtype(query: Tensor, key: Tensor) -> torch.dtype:
    """The dtype of the similarities and their softmax: float32 at least."""
    return torch.promote_types(torch.promote_types(query.dtype, key.dtype), torch.float32)


def product_dtype(value: Tensor) -> torch.dtype:
    """The dtype of the product of weights and values: 16 bits pay off on a GPU only."""
    if value.device.type == 'cpu':
        return torch.promote_types(value.dtype, torch.float32)
    return value.dtype


def product(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Batched matrix product, written to ``out`` in its dtype."""
    if a.dtype == out.dtype:
        return torch.bmm(a, b, out=out)
    return out.copy_(torch.bmm(a, b))


def log_negligible(dtype: torch.dtype) -> float:
    """Logarithm of the square root of a dtype's smallest normal number: 1e-19 for float32.

    A weight of this share of the largest one changes no result, and its product with any number
    above it is a normal number. CPUs are up to 100 times as slow with those below.
    """
    return log(torch.finfo(dtype).tiny) / 2


def raise_negligible(logits: Tensor) -> None:
    """Raise logits far below the maximum of their row, so that no weight is a denormal number.

    On a CPU, in place; other devices compute with denormal numbers as fast as with others.
    """
    if logits.device.type != 'cpu':
        return
    lowest = log_negligible(logits.dtype)
    low, high = torch.aminmax(logits)
    if low < high + lowest:
        torch.maximum(logits, logits.amax(-1, keepdim=True) + lowest, out=logits)


def softmax(logits: Tensor, out: Tensor) -> None:
    """Softmax over the last dimension, written to ``out``."""
    if out.is_contiguous():
        torch.softmax(logits, -1, out=out)
    else:
        out.copy_(torch.softmax(logits, -1))


def softmax_backward(grad: Tensor, weights: Tensor, out: Tensor) -> None:
    """Gradient of the logits from the gradient of the weights = softmax(logits), to ``out``."""
    # The kernel reads strided weights as if they were contiguous.
    torch.ops.aten._softmax_backward_data.out(
        grad, weights.contiguous(), -1, weights.dtype, grad_input=out
    )
