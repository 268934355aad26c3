"""Cross-scale non-local super-resolution (CSNLN) for MMagic.

Importing this package registers its components with MMagic. :mod:`csnln_mm.ops` needs torch
alone, and works where MMagic is not installed.
"""

from importlib.util import find_spec

from csnln_mm.installed_configs import config_path
from csnln_mm.version import __version__

__all__ = ['__version__', 'config_path']

if find_spec('mmagic'):
    from csnln_mm import models, training  # noqa: F401
