"""Resume the order of the data and all random numbers, so that runs equal uninterrupted ones.

A step draws random numbers by the seed of the run, the process and the step, a sample by its place
in the order of the data. Neither depends on what ran before.
"""

import random
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmagic.registry import DATA_SAMPLERS, HOOKS, TRANSFORMS
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

# The key in the ``meta`` of MMEngine's checkpoints.
_KEY = 'data_order'
# The first number of a seed's place says what it is for, so that no two uses share a seed.
_FOR_SAMPLES, _FOR_STEPS = range(2)


class SampleIndex(int):
    """The index of a sample, with a 32-bit ``seed`` for its random crop and flips."""

    seed: int

    def __new__(cls, index: int, seed: int) -> 'SampleIndex':
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    def __getnewargs__(self) -> tuple:
        return int(self), self.seed


@DATA_SAMPLERS.register_module()
class ResumableSampler(InfiniteSampler):
    """MMEngine's infinite shuffled order, which can start at any place.

    The n processes share one infinite sequence of samples, of which each takes every n-th. The
    sequence and the seeds of its samples depend only on ``seed`` and the place. Together with
    :class:`SeedPerSample`, a run sees the same data with any number of dataloader workers,
    interrupted or not.

    Args:
        dataset: to draw from.
        shuffle: draw in random order, each sample once before any is repeated.
        seed: of the order, the same in all processes; random by default.

    Attributes:
        start: place in the sequence, over all processes, where the next iteration begins.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        super().__init__(dataset, shuffle, seed)
        self.start = 0

    def __iter__(self) -> Iterator[SampleIndex]:
        places = enumerate(self._infinite_indices())
        for place, index in islice(places, self.start + self.rank, None, self.world_size):
            yield SampleIndex(index, _derive_seed(self.seed, _FOR_SAMPLES, place))


@TRANSFORMS.register_module()
class SeedPerSample:
    """Seed the dataloader worker for one sample; belongs before the first random transform.

    Workers live long and load ahead, so without a seed a sample's random numbers depend on
    everything that its worker loaded before, which no checkpoint knows. Samples of other samplers,
    and ``dataset[0]``, have no seed; they leave the generators alone.
    """

    def __call__(self, results: dict) -> dict:
        """Seed the generators, and make ``sample_idx`` a plain integer."""
        index = results.get('sample_idx')
        if isinstance(index, SampleIndex):
            _seed_all(index.seed)
            results['sample_idx'] = int(index)
        return results


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Resume the order of the data and the random state after an interruption.

    MMEngine's checkpoints hold weights, optimizer, learning rate and step. This hook adds the seed
    of the data's order and the place in it, starts the dataloader there, and seeds each process in
    every step by (seed, process, step). It repeats a validation that was due at the interruption.

    Only an ``IterBasedTrainLoop`` over a :class:`ResumableSampler` resumes exactly. Other loops
    resume as in MMEngine, with a warning.
    """

    # Last in every step, so that the other hooks are ready before the validation.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._seed: int | None = None
        self._samples: int | None = None
        self._first_step = 0
        self._first_sample = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the place in the data."""
        # MMEngine's own checkpoints have a seed, and as many samples in every step.
        meta = checkpoint.get('meta', {})
        order = meta.get(_KEY, {})
        self._seed = order.get('seed', meta.get('seed'))
        self._samples = order.get('samples')

    def before_train(self, runner: Runner) -> None:
        """Start the data at the remembered place."""
        loop = runner.train_loop
        if loop.iter == 0:
            return
        if not _is_resumable(runner):
            runner.logger.warning(
                'the order of the data differs from that of an uninterrupted run: only an '
                'IterBasedTrainLoop with a ResumableSampler resumes exactly'
            )
            return
        sampler = loop.dataloader.sampler
        if self._seed is not None:
            sampler.seed = self._seed
        self._first_step = loop.iter
        self._first_sample = (
            loop.iter * _samples_per_step(runner) if self._samples is None else self._samples
        )
        sampler.start = self._first_sample
        # This ends its dataloader workers, unless they persist.
        loop.dataloader_iterator = None
        batches = iter(loop.dataloader)
        skips_none = getattr(loop, 'fast_forward_on_resume', False)  # of the fork
        loop.dataloader_iterator = _AfterSkipping(batches, 0 if skips_none else loop.iter)
        _validate_if_due(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the step."""
        if _is_resumable(runner):
            seed = runner.train_loop.dataloader.sampler.seed
            _seed_all(_derive_seed(seed, _FOR_STEPS, get_rank(), runner.iter))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the place in the data to the checkpoint."""
        if _is_resumable(runner):
            steps = checkpoint['meta']['iter'] - self._first_step
            samples = self._first_sample + steps * _samples_per_step(runner)
            seed = runner.train_loop.dataloader.sampler.seed
            checkpoint['meta'][_KEY] = dict(seed=seed, samples=samples)


def _is_resumable(runner: Runner) -> bool:
    loop = runner.train_loop
    return isinstance(loop, IterBasedTrainLoop) and isinstance(
        loop.dataloader.sampler, ResumableSampler
    )


def _validate_if_due(runner: Runner) -> None:
    """Run the validation that follows a checkpoint, since it may have been interrupted."""
    loop = runner.train_loop
    if (
        runner.val_loop is not None
        and loop.iter >= loop.val_begin
        and (loop.iter % loop.val_interval == 0 or loop.iter >= loop.max_iters)
    ):
        runner.val_loop.run()


class _AfterSkipping:
    """Batches from the remembered place, for loops that skip the batches before it.

    MMEngine 0.10 fetches and drops a batch for each completed step; its fork calls ``skip_iter``.
    """

    def __init__(self, batches: Iterator, to_skip: int) -> None:
        self.batches = batches
        self.to_skip = to_skip

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if self.to_skip:
            self.to_skip -= 1
            return None
        return next(self.batches)

    def skip_iter(self, num_iters: int) -> None:
        self.to_skip -= num_iters


def _samples_per_step(runner: Runner) -> int:
    return runner.train_loop.dataloader.batch_size * runner.world_size


def _derive_seed(seed: int, *place: int) -> int:
    """Derive a 32-bit seed; different places (non-negative integers) give unrelated seeds."""
    return int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1)[0])


def _seed_all(seed: int) -> None:
    """Seed Python, numpy, and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
