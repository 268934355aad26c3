"""Functions that ``torch.compile`` leaves as they are."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

__all__ = ['uncompiled']

P = ParamSpec('P')
R = TypeVar('R')


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """Like ``torch.compiler.disable``, which would import the compiler at once: over a second."""
    if not hasattr(torch.compiler, 'is_compiling'):  # before torch 2.3
        return torch.compiler.disable(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapper
