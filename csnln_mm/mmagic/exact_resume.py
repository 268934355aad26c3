"""A resumed training goes on exactly as if it had not been interrupted."""

from itertools import chain, repeat
from typing import Any

from mmagic.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from csnln_mm.mmagic.resumable_sampler import ResumableSampler
from csnln_mm.mmagic.seeding import FOR_STEPS, derive_seed, seed_all

__all__ = ['ExactResumeHook']

# In MMEngine's checkpoints, beside the number of steps.
_KEY = 'data_order'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Keep the order of the data and the random state through interruptions.

    MMEngine's checkpoints have weights, optimizer, learning rate and step. This hook adds the
    seed of the data's order and the place in it, starts the dataloader there, and seeds the
    generators of each process anew in every step by (seed, process, step). What a validation
    adds that was due when the training was interrupted is not lost either: it is done again.

    Needs an iteration-based loop, and the dataloader's sampler to be a
    :class:`~.resumable_sampler.ResumableSampler`; with another one, MMEngine's way of resuming
    stays, with a warning.
    """

    # Last in every step: the validation comes after the other hooks are ready.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._seed: int | None = None
        self._samples: int | None = None
        self._first_step = 0
        self._first_sample = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Hook of MMEngine: remember where the data stood."""
        # Checkpoints of MMEngine alone have a seed, and every step had the same samples.
        meta = checkpoint.get('meta', {})
        order = meta.get(_KEY, {})
        self._seed = order.get('seed', meta.get('seed'))
        self._samples = order.get('samples')

    def before_train(self, runner: Runner) -> None:
        """Hook of MMEngine: start the data where it stood."""
        loop = runner.train_loop
        sampler = loop.dataloader.sampler
        if loop.iter == 0:
            return
        if not isinstance(sampler, ResumableSampler):
            runner.logger.warning(
                'with a sampler other than ResumableSampler, the data of the '
                'training does not go on exactly as without an interruption'
            )
            return
        if self._seed is not None:
            sampler.seed = self._seed
        self._first_step = loop.iter
        self._first_sample = (
            loop.iter * _samples_per_step(runner) if self._samples is None else self._samples
        )
        sampler.start = self._first_sample
        # Its loading processes, if they do not persist, end here.
        loop.dataloader_iterator = None
        batches = iter(loop.dataloader)
        # MMEngine's loop will ask for a batch for every step done, and throw it away.
        loop.dataloader_iterator = chain(repeat(None, loop.iter), batches)
        self._validate_if_due(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Hook of MMEngine: what is random in a step depends on the step."""
        sampler = runner.train_loop.dataloader.sampler
        if isinstance(sampler, ResumableSampler):
            seed_all(derive_seed(sampler.seed, FOR_STEPS, get_rank(), runner.iter))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Hook of MMEngine: add where the data stands."""
        sampler = runner.train_loop.dataloader.sampler
        if isinstance(sampler, ResumableSampler):
            steps = checkpoint['meta']['iter'] - self._first_step
            samples = self._first_sample + steps * _samples_per_step(runner)
            checkpoint['meta'][_KEY] = dict(seed=sampler.seed, samples=samples)

    @staticmethod
    def _validate_if_due(runner: Runner) -> None:
        """The checkpoint of a step is written before the validation after it."""
        loop = runner.train_loop
        if (
            runner.val_loop is not None
            and loop.iter >= loop.val_begin
            and (loop.iter % loop.val_interval == 0 or loop.iter >= loop.max_iters)
        ):
            runner.val_loop.run()


def _samples_per_step(runner: Runner) -> int:
    return runner.train_loop.dataloader.batch_size * runner.world_size
