"""Which pictures to enlarge, and where the results go."""

import glob
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import OUTPUT_FORMATS, SUFFIXES

__all__ = ['Job', 'plan_jobs']


class Job(NamedTuple):
    """A picture and where its enlargement goes."""

    source: Path
    target: Path


def plan_jobs(
    inputs: Iterable[str | Path], out: str | Path, *, recursive: bool, suffix: str
) -> tuple[list[Job], list[tuple[str, str]]]:
    """Find the pictures.

    Args:
        inputs: files, folders and glob patterns (``**`` for any depth).
        out: a folder, made if need be; or, for one file, a file with the suffix of a picture.
            Pictures keep their place below an input folder or the fixed part of a pattern.
        recursive: look into folders of folders.
        suffix: of the results, such as '.png'; 'same' for that of the input.

    Returns:
        The jobs in order, and what has none, as (input, reason).

    Raises:
        UserError: if the format is unknown.
    """
    if suffix != 'same' and suffix not in OUTPUT_FORMATS:
        raise UserError(f'unknown format {suffix}; use same or one of {", ".join(OUTPUT_FORMATS)}')
    out = Path(out).expanduser()
    found, failed = [], []
    for item in inputs:
        try:
            found.extend(_find(str(Path(item).expanduser()), recursive))
        except UserError as error:
            failed.append((str(item), str(error)))
        except OSError as error:  # a name too long, a folder that may not be searched
            failed.append((str(item), f'cannot look for {item}: {error.strerror or error}'))
    jobs, taken, seen = [], {}, set()
    one_file = len(found) == 1 and found[0][0] == found[0][1]
    for source, relative in found:
        if source.resolve() in seen:
            continue
        seen.add(source.resolve())
        if one_file and out.suffix.lower() in OUTPUT_FORMATS and not out.is_dir():
            target = out
        else:
            relative = Path(source.name) if relative == source else relative
            target = out / (relative if suffix == 'same' else relative.with_suffix(suffix))
        if target.resolve() == source.resolve():
            failed.append((str(source), f'the result would replace the picture: {target}'))
        elif target.resolve() in taken:
            other = taken[target.resolve()]
            failed.append(
                (
                    str(source),
                    f'{target} is already the result of {other}; use another '
                    'output folder or --format same',
                )
            )
        else:
            taken[target.resolve()] = source
            jobs.append(Job(source, target))
    if any(job.target != out for job in jobs) and out.exists() and not out.is_dir():
        raise UserError(f'output {out} is a file; name a folder')
    if len(jobs) > 1 and out.suffix.lower() in OUTPUT_FORMATS and not out.is_dir():
        raise UserError(
            f'output {out} is named like a picture, but there are {len(jobs)} '
            'pictures; name a folder'
        )
    return jobs, failed


def _find(item: str, recursive: bool) -> list[tuple[Path, Path]]:
    """(file, its place below the output folder) of each; for a file given as such, twice it."""
    path = Path(item)
    if path.is_dir():
        pattern = '**/*' if recursive else '*'
        files = sorted(f for f in path.glob(pattern) if _is_picture(f))
        if not files:
            where = '' if recursive else ' (folders in it are left out without --recursive)'
            raise UserError(f'no pictures in {path}{where}')
        return [(f, f.relative_to(path)) for f in files]
    if path.exists() or not glob.has_magic(item):
        # What does not exist is told when it is its turn.
        return [(path, path)]
    files = sorted(Path(f) for f in glob.glob(item, recursive=True))
    files = [f for f in files if _is_picture(f)]
    if not files:
        raise UserError(f'no pictures match {item}')
    root = Path(re.split(r'[*?[]', item)[0] + '_').parent
    return [(f, f.relative_to(root)) for f in files]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith('.')
