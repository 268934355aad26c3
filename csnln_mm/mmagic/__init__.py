"""CSNLN within MMagic: importing this package registers its components.

In a config: ``custom_imports = dict(imports=['csnln_mm.mmagic'])``.
"""

import csnln_mm.compatibility  # noqa: F401  before the first import of MMagic
from csnln_mm.mmagic import installed_packages
from csnln_mm.mmagic.atomic_checkpoint import AtomicCheckpointHook
from csnln_mm.mmagic.bfloat16_optim_wrapper import BFloat16OptimWrapper
from csnln_mm.mmagic.check_invalid_loss import CheckInvalidLossHook
from csnln_mm.mmagic.dataset import FolderPairDataset, ImagePairDataset
from csnln_mm.mmagic.editor import CSNLNEditor
from csnln_mm.mmagic.exact_resume import ExactResumeHook, ResumableSampler, SeedPerSample
from csnln_mm.mmagic.extended_network import extend_network
from csnln_mm.mmagic.networks import *  # noqa: F403
from csnln_mm.mmagic.networks import __all__ as _networks
from csnln_mm.mmagic.resume import use_safe_loading
from csnln_mm.mmagic.transforms import BicubicDegradation, HardPatches, HighContrast, LoadBands

installed_packages.install()
use_safe_loading()

__all__ = [
    *_networks,
    'AtomicCheckpointHook',
    'BFloat16OptimWrapper',
    'BicubicDegradation',
    'CSNLNEditor',
    'CheckInvalidLossHook',
    'ExactResumeHook',
    'FolderPairDataset',
    'HardPatches',
    'HighContrast',
    'ImagePairDataset',
    'LoadBands',
    'ResumableSampler',
    'SeedPerSample',
    'extend_network',
]
