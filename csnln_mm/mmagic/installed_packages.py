"""Let MMEngine find installed packages without ``pkg_resources``.

For ``_base_ = 'mmagic::...'`` in a config, MMEngine 0.10 asks ``pkg_resources`` where MMagic is;
that package warns, and setuptools 82 dropped it. After :func:`install`, ``importlib`` answers.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def is_installed(package: str) -> bool:
    """Whether a package is installed, by the name of its distribution or module."""
    return _find(package) is not None


def get_installed_path(package: str) -> str:
    """The folder of a package, by the same names; PackageNotFoundError if there is none."""
    spec = _find(package)
    if spec is None:
        raise PackageNotFoundError(package)
    return str(Path(spec.origin).parent)


def _find(package: str) -> ModuleSpec | None:
    try:
        names = (distribution(package).read_text('top_level.txt') or '').split()
    except PackageNotFoundError:
        names = []
    for name in package, *names:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is not None and spec.origin is not None:  # a namespace package has none
            return spec
    return None


def install() -> None:
    """Replace MMEngine's functions of these names in all of its modules."""
    import mmengine.config.config  # noqa: F401
    from mmengine.utils import package_utils

    for ours in is_installed, get_installed_path:
        theirs = getattr(package_utils, ours.__name__)
        for name, module in list(sys.modules.items()):
            if name.startswith('mmengine') and vars(module).get(ours.__name__) is theirs:
                setattr(module, ours.__name__, ours)
