"""Stop training when losses or weights are no longer finite."""

from collections.abc import Iterator
from typing import Any

import torch
from mmagic.registry import HOOKS
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from csnln_mm.errors import UserError


@HOOKS.register_module()
class CheckInvalidLossHook(Hook):
    """Stop all processes when one has a NaN or infinite loss, and save no such weights.

    Infinite gradients spoil the weights in a step whose loss is finite, so the hook also checks
    weights and optimizer before they are saved.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: dict[str, Any]
    ) -> None:
        """Check the losses; runs before the hook that saves checkpoints.

        Raises:
            UserError: in all processes, if a loss is not finite; only those that have it say more.
        """
        bad = {
            name: float(value)
            for name, value in outputs.items()
            if isinstance(value, (float, Tensor)) and not _is_finite(value)
        }
        bad_processes = torch.tensor([float(bool(bad))])
        all_reduce(bad_processes)
        if bad_processes:
            what = ', '.join(f'{name} is {value}' for name, value in bad.items())
            raise UserError(
                f'{what} in step {runner.iter + 1}; its weights are not saved' if bad else ''
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights and the optimizer.

        Raises:
            UserError: if a number is not finite.
        """
        for part in 'state_dict', 'optimizer':
            for name, tensor in _tensors(checkpoint.get(part), part):
                if not _is_finite(tensor):
                    raise UserError(
                        f'{name} is not finite after step '
                        f'{checkpoint["meta"]["iter"]}; its weights are not saved'
                    )


def _is_finite(value: float | Tensor) -> bool:
    return bool(torch.as_tensor(value).isfinite().all())


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield (dotted keys, tensor) for every tensor in nested dictionaries."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f'{name}.{key}')
