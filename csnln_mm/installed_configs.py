"""Find the configs that come with the package."""

from pathlib import Path

from csnln_mm.errors import UserError

# Where OpenMMLab's packages keep configs and tools; links in a checkout, files in a wheel.
_CONFIGS = Path(__file__).parent / '.mim' / 'configs'


def config_path(name: str) -> str:
    """The path of a config of this package.

    For configs of one's own, whose base it shall be::

        _base_ = __import__('csnln_mm').config_path('csnln_x2_div2k.py')

    Args:
        name: its file name, such as 'csnln_x2_div2k.py', or its path below ``configs/``, such as
            'mixing/esrgan_csnln_x4.py'.

    Raises:
        UserError: if there is no such config.
    """
    # Names are unique across folders.
    folders = [_CONFIGS, *_CONFIGS.glob('[!_]*/')]
    for folder in folders if Path(name).name == name else folders[:1]:
        if (folder / name).is_file():
            return str(folder / name)
    raise UserError(f'csnln_mm has no config {name}; those that it has are in {_CONFIGS}')
