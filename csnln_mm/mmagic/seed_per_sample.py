"""Random crops and flips that belong to the sample, not to the process that loads it."""

from mmagic.registry import TRANSFORMS

from csnln_mm.mmagic.resumable_sampler import SampleIndex
from csnln_mm.mmagic.seeding import seed_all

__all__ = ['SeedPerSample']


@TRANSFORMS.register_module()
class SeedPerSample:
    """Seed the loading process for one sample; stands before the first random transform.

    Loading processes live long and load ahead: without this, what is random in a sample depends
    on all that its process loaded before, which no checkpoint can know. A sample that was not
    drawn by a :class:`~.resumable_sampler.ResumableSampler`, such as ``dataset[0]``, has no seed;
    then the generators go on as they are.
    """

    def __call__(self, results: dict) -> dict:
        """Seed, and pass everything on.

        Args:
            results: ``sample_idx`` from the data set; left as a plain integer.
        """
        index = results.get('sample_idx')
        if isinstance(index, SampleIndex):
            seed_all(index.seed)
            results['sample_idx'] = int(index)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
