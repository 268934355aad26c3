"""Cross-scale non-local super-resolution (CSNLN) for MMagic.

Importing this package registers its components with MMagic. :mod:`csnln_mm.ops` needs torch
alone, and works where MMagic is not installed.
"""
from importlib.util import find_spec

from .version import __version__

__all__ = ['__version__']

if find_spec('mmagic'):
    from . import models, training  # noqa: F401
