"""Files that are complete or absent, and JSON files that somebody else may have written."""

import json
import os
from pathlib import Path
from typing import Any

from csnln_mm.errors import UserError

MAX_JSON_BYTES = 16 * 2**20


def atomic_write(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file under a temporary name and move it into place.

    Args:
        path: missing folders are made.
        content: all of it.
        durable: return when it is on the disk, and would survive a loss of power.

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


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: if it is missing, has more than :data:`MAX_JSON_BYTES` or is no JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path} is not a file' if path.exists() else f'{path} does not exist')
    try:
        with path.open('rb') as file:
            content = file.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise UserError(f'{path} is refused: it has more than {MAX_JSON_BYTES} bytes')
        return json.loads(content)
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is no JSON: {error}') from error
