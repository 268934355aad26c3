"""Mixed precision in bfloat16, which needs neither loss scaling nor CUDA."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmagic.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's optimizer wrapper, with the forward pass under bfloat16 autocast.

    MMEngine's ``AmpOptimWrapper`` scales losses for float16, and requires CUDA.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of a forward pass of training."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
