"""Random crops and flips that belong to the sample, not to the process that loads it."""
from mmagic.registry import TRANSFORMS

from .resumable_sampler import SampleIndex
from .seeding import seed_all

__all__ = ['SeedPerSample']


@TRANSFORMS.register_module()
class SeedPerSample:
    """Seed the loading process for one sample; stands before the first random transform.

    Loading processes live long and load ahead: without this, what is random in a sample depends
    on all that its process loaded before, which no checkpoint can know.
    """

    def __call__(self, results: dict) -> dict:
        """Seed, and pass everything on.

        Args:
            results: ``sample_idx`` as :class:`~.resumable_sampler.ResumableSampler` draws it;
                left as a plain integer.

        Raises:
            TypeError: if it is drawn by another sampler.
        """
        index = results['sample_idx']
        if not isinstance(index, SampleIndex):
            raise TypeError('SeedPerSample needs sampler=dict(type=\'ResumableSampler\') in the '
                            'dataloader, and a data set that knows its samples by its index')
        seed_all(index.seed)
        results['sample_idx'] = int(index)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
