"""What keeps a training whole: its data in a known order, its checkpoints, numbers and end."""
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .exact_resume_hook import ExactResumeHook
from .finite_numbers_hook import FiniteNumbersHook
from .resumable_sampler import ResumableSampler
from .seed_per_sample import SeedPerSample
from .whole_checkpoint_hook import WholeCheckpointHook

__all__ = [
    'BFloat16OptimWrapper', 'ExactResumeHook', 'FiniteNumbersHook', 'ResumableSampler',
    'SeedPerSample', 'WholeCheckpointHook'
]
