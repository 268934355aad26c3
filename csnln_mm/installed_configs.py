"""The configs that come with the package, wherever it is installed."""

from pathlib import Path

from csnln_mm.errors import UserError

# Where OpenMMLab's packages keep configs and tools; links in a checkout, files in a wheel.
_CONFIGS = Path(__file__).parent / '.mim' / 'configs'


def config_path(name: str) -> str:
    """The path of a config of this package.

    For configs of one's own, whose base it shall be::

        _base_ = __import__('csnln_mm').config_path('csnln_x2_div2k.py')

    Args:
        name: its path below ``configs/``, such as 'csnln_x2_div2k.py' or
            'mixing/esrgan_csnln_x4.py'.

    Raises:
        UserError: if there is no such config.
    """
    path = _CONFIGS / name
    if not path.is_file():
        raise UserError(f'csnln_mm has no config {name}; those that it has are in {_CONFIGS}')
    return str(path)
