"""Register CSNLN in programs that use spandrel but cannot call :func:`register`.

``python -m csnln_mm.integrations.spandrel_at_start``, run with the Python of such a program, adds a
file to its packages that Python reads whenever it starts; ``--remove`` deletes it. With the file,
importing spandrel registers CSNLN. Nothing imports torch earlier.
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
from csnln_mm.files import write_result

# Python runs this line when it starts; it does nothing if this package has been removed.
_LINE = (
    "import importlib.util; importlib.util.find_spec('csnln_mm') and "
    '__import__({name!r}, fromlist=["x"]).register_after_import()\n'
)


class _AfterSpandrel(MetaPathFinder):
    """Registers CSNLN once spandrel has been imported."""

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
            # Not earlier: some programs look for spandrel before they import it.
            sys.meta_path.remove(self)
            if 'csnln_mm.integrations.spandrel' in sys.modules:
                return  # a program that imports it, and spandrel through it, registers by itself
            try:
                from csnln_mm.integrations.spandrel import register

                register()
            except Exception as error:  # the program must start all the same
                print(f'csnln_mm: not registered with spandrel: {error}', file=sys.stderr)

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec


def register_after_import() -> None:
    """Register CSNLN in this process as soon as spandrel is imported."""
    if 'spandrel' not in sys.modules and not any(
        isinstance(finder, _AfterSpandrel) for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, _AfterSpandrel())


def install(folder: Path | None = None) -> Path:
    """Write the file that Python reads when it starts; UserError if that fails.

    Args:
        folder: of packages; by default that of this Python.
    """
    path = _path(folder)
    write_result(path, _LINE.format(name=__spec__.name).encode())
    return path


def remove(folder: Path | None = None) -> Path:
    """Delete that file if it exists; UserError if that fails."""
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
