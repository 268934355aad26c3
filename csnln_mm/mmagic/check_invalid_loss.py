"""A training whose numbers are no longer finite stops, and keeps what was good."""

from collections.abc import Iterator
from typing import Any

import torch
from mmagic.registry import HOOKS
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from csnln_mm.errors import UserError


@HOOKS.register_module(name=['CheckInvalidLossHook', 'FiniteNumbersHook'])
class CheckInvalidLossHook(Hook):
    """Stop all processes when a loss of one is NaN or infinite; write no such checkpoint.

    A loss may be the last that shows it: with infinite gradients, the weights are spoiled in a
    step whose loss was good. So weights and optimizer are looked through before they are saved.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: dict[str, Any]
    ) -> None:
        """Hook of MMEngine, before that which saves checkpoints.

        Raises:
            UserError: in all processes, if a loss is not finite; with a message where it is.
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
        """Hook of MMEngine.

        Raises:
            UserError: if a weight, or a number of the optimizer, is not finite.
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
    """The tensors in nested dictionaries, with the keys that lead to them."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f'{name}.{key}')
