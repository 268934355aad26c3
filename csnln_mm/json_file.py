"""JSON files that somebody else may have written."""

import json
from pathlib import Path
from typing import Any

from csnln_mm.errors import UserError

__all__ = ['MAX_BYTES', 'read_json']

MAX_BYTES = 16 * 2**20


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: if it is missing, has more than :data:`MAX_BYTES` or is no JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path} is not a file' if path.exists() else f'{path} does not exist')
    try:
        with path.open('rb') as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f'{path} is refused: it has more than {MAX_BYTES} bytes')
        return json.loads(content)
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is no JSON: {error}') from error
