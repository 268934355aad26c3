"""Registration in programs that use spandrel and offer no way to call :func:`register`.

``python -m csnln_mm.integrations.spandrel_at_start``, run with the Python of such a program, adds a
file to its packages that Python reads whenever it starts; ``--remove`` takes it away. From then on
spandrel knows CSNLN as soon as anything imports it; torch is not imported before.
"""

import argparse
import importlib.util
import sys
import sysconfig
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write

# One line, which Python runs when it starts; nothing happens if this package is gone.
_LINE = (
    "import importlib.util; importlib.util.find_spec('csnln_mm') and "
    '__import__({name!r}, fromlist=["x"]).register_after_import()\n'
)


class _AfterSpandrel(MetaPathFinder):
    """Registers CSNLN when spandrel has been imported."""

    def __init__(self) -> None:
        self.searching = False

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != 'spandrel' or self.searching:
            return None
        self.searching = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.searching = False
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_register(module: Any) -> None:
            run(module)
            # Only now: to look for spandrel, as some programs do first, is not to import it.
            sys.meta_path.remove(self)
            try:
                from csnln_mm.integrations.spandrel import register

                register()
            except Exception as error:  # the program must start all the same
                print(f'csnln_mm: not registered with spandrel: {error}', file=sys.stderr)

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec


def register_after_import() -> None:
    """Have spandrel load CSNLN in this process, from the moment that it is imported."""
    if 'spandrel' not in sys.modules and not any(
        isinstance(finder, _AfterSpandrel) for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, _AfterSpandrel())


def install(folder: Path | None = None) -> Path:
    """Write the file that Python reads when it starts.

    Args:
        folder: of packages; by default that of the Python that runs this.

    Raises:
        UserError: if it cannot be written.
    """
    path = _path(folder)
    try:
        atomic_write(path, _LINE.format(name=__spec__.name).encode())
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror or error}') from error
    return path


def remove(folder: Path | None = None) -> Path:
    """Delete that file, if it is there."""
    path = _path(folder)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f'cannot delete {path}: {error.strerror or error}') from error
    return path


def _path(folder: Path | None) -> Path:
    return (folder or Path(sysconfig.get_path('purelib'))) / 'csnln_mm_spandrel.pth'


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--remove', action='store_true', help='take the file away')
    try:
        if parser.parse_args().remove:
            print(f'{remove()} is removed')
        else:
            print(f'{install()}: programs that run {sys.executable} load CSNLN')
    except UserError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    _main()
