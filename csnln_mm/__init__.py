"""Cross-scale non-local super-resolution (CSNLN), on torch; :mod:`csnln_mm.mmagic` for MMagic."""

from csnln_mm.installed_configs import config_path
from csnln_mm.version import __version__

__all__ = ['__version__', 'config_path']
