"""What code does that ``torch.compile``, ``torch.export`` or ``torch.jit`` may trace."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import torch
import torch._utils
from torch import Tensor

P = ParamSpec('P')
R = TypeVar('R')

# Compilers take either for a constant; torch.compiler has none before torch 2.3.
is_compiling = getattr(torch.compiler, 'is_compiling', None) or torch._utils.is_compiling


def is_tracing() -> bool:
    """Whether code is traced: it must not ask for sizes then, which would become constants."""
    return is_compiling() or torch._C._get_tracing_state() is not None


def is_inference_on_cpu(x: Tensor) -> bool:
    """Whether operators may be replaced by faster ones: nothing derives, traces or counts them."""
    return (
        type(x) is Tensor
        and x.device.type == 'cpu'
        and not torch.is_grad_enabled()
        and not is_tracing()
        and not torch._C._len_torch_dispatch_stack()
    )


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """Like ``torch.compiler.disable``, which would import the compiler at once: over a second."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_compiling():
            disabled = cast('Callable[P, R]', torch.compiler.disable(function))
            return disabled(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapper
