"""A resumed run equals an uninterrupted one: the data's order, and all that is random.

What a step draws depends on the seed of the run, the process and the step; what a sample draws,
on its place in the order of the data. Nothing depends on what ran before.
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

# In MMEngine's checkpoints, beside the number of steps.
_KEY = 'data_order'
# What the numbers are for: the first of a place, so that no two uses share a seed.
_FOR_SAMPLES, _FOR_STEPS = range(2)


class SampleIndex(int):
    """The index of a sample, with ``seed``: a number of 32 bits for its random crop and flips."""

    seed: int

    def __new__(cls, index: int, seed: int) -> 'SampleIndex':
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    def __getnewargs__(self) -> tuple:
        return int(self), self.seed


@DATA_SAMPLERS.register_module()
class ResumableSampler(InfiniteSampler):
    """MMEngine's endless shuffled order, which can begin anywhere in it.

    All processes together go through one endless sequence of samples, each process through every
    n-th of them. The sequence, and the seed that each sample has, depend on ``seed`` and the
    place in the sequence alone. Together with :class:`SeedPerSample`, a
    training sees the same data with any number of dataloader workers, interrupted or not.

    Args:
        dataset: what to draw from.
        shuffle: draw in random order, each sample once before any comes again.
        seed: of the order; the same in all processes. By default a random one.

    Attributes:
        start: place in the sequence from which the next iteration over this sampler begins;
            samples of all processes count.
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
    """Seed the dataloader worker for one sample; stands before the first random transform.

    Loading processes live long and load ahead: without this, what is random in a sample depends
    on all that its process loaded before, which no checkpoint can know. A sample that was not
    drawn by a :class:`ResumableSampler`, such as ``dataset[0]``, has no seed;
    then the generators continue as they are.
    """

    def __call__(self, results: dict) -> dict:
        """Seed, and leave ``sample_idx`` a plain integer."""
        index = results.get('sample_idx')
        if isinstance(index, SampleIndex):
            _seed_all(index.seed)
            results['sample_idx'] = int(index)
        return results


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Keep the order of the data and the random state through interruptions.

    MMEngine's checkpoints have weights, optimizer, learning rate and step. This hook adds the
    seed of the data's order and the place in it, starts the dataloader there, and seeds the
    generators of each process anew in every step by (seed, process, step). A validation that was
    due when the training was interrupted is repeated.

    Only a loop of steps (``IterBasedTrainLoop``) over a :class:`ResumableSampler` resumes exactly.
    Any other resumes as MMEngine does it, with a warning.
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
        # Its dataloader workers, if they do not persist, end here.
        loop.dataloader_iterator = None
        batches = iter(loop.dataloader)
        skips_none = getattr(loop, 'fast_forward_on_resume', False)  # of the fork
        loop.dataloader_iterator = _AfterSkipping(batches, 0 if skips_none else loop.iter)
        _validate_if_due(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Hook of MMEngine: what is random in a step depends on the step."""
        if _is_resumable(runner):
            seed = runner.train_loop.dataloader.sampler.seed
            _seed_all(_derive_seed(seed, _FOR_STEPS, get_rank(), runner.iter))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Hook of MMEngine: add where the data stands."""
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
    """Run the validation that follows the checkpoint of a step: it may have been interrupted."""
    loop = runner.train_loop
    if (
        runner.val_loop is not None
        and loop.iter >= loop.val_begin
        and (loop.iter % loop.val_interval == 0 or loop.iter >= loop.max_iters)
    ):
        runner.val_loop.run()


class _AfterSkipping:
    """Batches from where the data stood, for a loop that wants to skip those before.

    MMEngine 0.10 asks for a batch for every step done, and throws it away; its fork says how many
    it wants to skip.
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
    """A seed of 32 bits; different places, of numbers from 0 on, give unrelated ones."""
    return int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1)[0])


def _seed_all(seed: int) -> None:
    """Seed the generators of Python, numpy and torch, of all devices, with 32 bits."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
