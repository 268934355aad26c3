"""The order of the training data, from any place on."""

from collections.abc import Iterator, Sized
from itertools import islice

from mmagic.registry import DATA_SAMPLERS
from mmengine.dataset import InfiniteSampler

from csnln_mm.mmagic.seeding import FOR_SAMPLES, derive_seed

__all__ = ['ResumableSampler', 'SampleIndex']


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
    place in the sequence alone. Together with :class:`~.seed_per_sample.SeedPerSample`, a
    training sees the same data with any number of loading processes, interrupted or not.

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
            yield SampleIndex(index, derive_seed(self.seed, FOR_SAMPLES, place))
