"""CSNLN within MMagic: importing this package registers its components.

In a config: ``custom_imports = dict(imports=['csnln_mm.mmagic'])``.
"""

from csnln_mm import compatibility

compatibility.install()

from csnln_mm.mmagic.atomic_checkpoint import WholeCheckpointHook  # noqa: E402
from csnln_mm.mmagic.bfloat16_optim_wrapper import BFloat16OptimWrapper  # noqa: E402
from csnln_mm.mmagic.check_invalid_loss import FiniteNumbersHook  # noqa: E402
from csnln_mm.mmagic.dataset import ImagePairDataset  # noqa: E402
from csnln_mm.mmagic.editor import CSNLNEditor  # noqa: E402
from csnln_mm.mmagic.exact_resume import ExactResumeHook  # noqa: E402
from csnln_mm.mmagic.extended_network import extend_network  # noqa: E402
from csnln_mm.mmagic.networks import (  # noqa: E402
    AdditionFusion,
    BicubicUpsampler,
    ConcatenationFusion,
    CrossScaleEnhancer,
    CrossScaleNonLocalAttention,
    CSNLNNet,
    InScaleNonLocalAttention,
    MutualProjectedFusion,
    SEMCell,
    SEMEnhancer,
)
from csnln_mm.mmagic.resumable_sampler import ResumableSampler  # noqa: E402
from csnln_mm.mmagic.seed_per_sample import SeedPerSample  # noqa: E402

__all__ = [
    'AdditionFusion',
    'BFloat16OptimWrapper',
    'BicubicUpsampler',
    'CSNLNEditor',
    'CSNLNNet',
    'ConcatenationFusion',
    'CrossScaleEnhancer',
    'CrossScaleNonLocalAttention',
    'ExactResumeHook',
    'FiniteNumbersHook',
    'ImagePairDataset',
    'InScaleNonLocalAttention',
    'MutualProjectedFusion',
    'ResumableSampler',
    'SEMCell',
    'SEMEnhancer',
    'SeedPerSample',
    'WholeCheckpointHook',
    'extend_network',
]
