"""Files that are whole or not there."""

import os
from pathlib import Path

__all__ = ['write_file']


def write_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file under a temporary name and move it into place.

    Args:
        path: missing folders are made.
        content: all of it.
        durable: return when it is on the disk, and would be there after a loss of power.

    Raises:
        OSError: if it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        with partial.open('wb') as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
