"""Mixed precision that needs no loss scaling, and so no CUDA."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmagic.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's optimizer wrapper with the forward pass under bfloat16's autocast.

    MMEngine's own ``AmpOptimWrapper`` scales losses, as float16 needs it, and asks for CUDA.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of a forward pass of training."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
