"""Write files completely or not at all, and read JSON files that may be damaged."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from csnln_mm.errors import UserError
from csnln_mm.limits import JSON_BYTES


def atomic_write(
    path: Path, content: bytes, *, durable: bool = False, allowed: Callable[[], None] | None = None
) -> None:
    """Write a file of this content, as :func:`atomic_file` does."""
    with atomic_file(path, durable=durable, allowed=allowed) as file:
        file.write(content)


@contextmanager
def atomic_file(
    path: Path, *, durable: bool = False, allowed: Callable[[], None] | None = None
) -> Iterator[BinaryIO]:
    """Open a file under a temporary name, and move it into place when the block ends.

    Args:
        path: of the file; missing folders are made, and symbolic links are followed.
        durable: return only when the file would survive a loss of power.
        allowed: called right before the move; an exception in it prevents the move.

    Yields:
        The file, open for reading and writing.

    Raises:
        OSError: if the file cannot be written; nothing is left behind, as with any error in the
            block.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{_partial_stem(path)}.{os.getpid()}.partial')
    try:
        with partial.open('wb') as locked:
            _lock(locked)
            # Closed before it is moved: some file systems report a full disk only then.
            with partial.open('w+b') as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            if allowed:
                allowed()
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_result(path: Path, content: bytes) -> None:
    """Write a file that the user has named, see :func:`atomic_write`; UserError if that fails."""
    try:
        atomic_write(path, content)
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror or error}') from error


def remove_partials(paths: Iterable[Path]) -> None:
    """Remove temporary files that killed processes left; files being written stay.

    Args:
        paths: the files that :func:`atomic_write` was to write.
    """
    stems: dict[Path, set[str]] = {}
    for path in paths:
        path = Path(os.path.realpath(path))
        stems.setdefault(path.parent, set()).add(_partial_stem(path))
    for folder, wanted in stems.items():
        for partial in folder.glob('.*.partial'):
            if partial.name.rsplit('.', 2)[0][1:] in wanted:
                # A file that cannot be opened or removed is somebody else's, and harmless.
                with suppress(OSError), partial.open('rb') as file:
                    if _lock(file, wait=False):
                        partial.unlink()


def check_folder(folder: Path) -> None:
    """Check that files can be written into a folder, which exists or can be made.

    Raises:
        UserError: if a file is in its way, a name is too long or it cannot be written to.
    """
    there, missing = os.path.abspath(folder), []
    while not os.path.exists(there) and there != os.path.dirname(there):
        there, name = os.path.split(there)
        missing.append(name)
    if not os.path.isdir(there):
        raise UserError(f'{there} is not a folder; name another')
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f'{there} cannot be written to; name another folder')
    for name in missing:
        _check_name(name, there)


def check_file(path: Path) -> None:
    """Check that a file can be written, as far as folders and names say.

    Raises:
        UserError: if it is a folder, its name is too long or its folder cannot be written to.
    """
    if os.path.isdir(path):
        raise UserError(f'cannot write {path}: it is a folder')
    check_folder(path.parent)
    there = os.path.abspath(path.parent)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    _check_name(path.name, there)


def _check_name(name: str, folder: str) -> None:
    try:
        limit = os.pathconf(folder, 'PC_NAME_MAX')
    except (AttributeError, OSError, ValueError):  # another system than POSIX, or it has none
        limit = 255
    length = len(os.fsencode(name))
    if length > limit:
        raise UserError(f'a name of {length} bytes is too long, {limit} are possible: {name}')


def _partial_stem(path: Path) -> str:
    """The beginning of a path's temporary names, short enough for a suffix."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= 100 else sha256(name).hexdigest()


def _lock(file: BinaryIO, *, wait: bool = True) -> bool:
    """Lock a file while it is open; False if another process has it, or locks do not work."""
    if sys.platform == 'win32':
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # a file system without locks, or another process's
        return False
    return True


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if it is missing, larger than :data:`csnln_mm.limits.JSON_BYTES`, or not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path} is not a file' if path.exists() else f'{path} does not exist')
    try:
        with path.open('rb') as file:
            content = file.read(JSON_BYTES + 1)
        if len(content) > JSON_BYTES:
            raise UserError(f'{path} is refused: it has more than {JSON_BYTES} bytes')
        return json.loads(content)
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is no JSON: {error}') from error
