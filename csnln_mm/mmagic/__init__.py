"""What keeps a training whole: its data in a known order, its checkpoints, numbers and end."""

from csnln_mm.mmagic.atomic_checkpoint import WholeCheckpointHook
from csnln_mm.mmagic.bfloat16_optim_wrapper import BFloat16OptimWrapper
from csnln_mm.mmagic.check_invalid_loss import FiniteNumbersHook
from csnln_mm.mmagic.exact_resume import ExactResumeHook
from csnln_mm.mmagic.resumable_sampler import ResumableSampler
from csnln_mm.mmagic.seed_per_sample import SeedPerSample

__all__ = [
    'BFloat16OptimWrapper',
    'ExactResumeHook',
    'FiniteNumbersHook',
    'ResumableSampler',
    'SeedPerSample',
    'WholeCheckpointHook',
]
