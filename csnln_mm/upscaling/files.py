"""Upscaling files and folders: which images, where the results go, and what became of each."""

import glob
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from torch import nn

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import (
    OUTPUT_FORMATS,
    SUFFIXES,
    check_format,
    read_image,
    read_image_size,
    write_image,
)
from csnln_mm.upscaling.progress import Progress
from csnln_mm.upscaling.upscaler import Upscaler

__all__ = ['Job', 'Result', 'plan_jobs', 'upscale']


class Result(NamedTuple):
    """What became of a picture.

    Attributes:
        source: the input.
        target: where the result is; None if the input led to no picture.
        status: 'done', 'skipped' (the result was there already) or 'failed'.
        reason: why it failed.
    """

    source: str
    target: Path | None
    status: str
    reason: str = ''


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


def upscale(
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    checkpoint: str | Path | nn.Module,
    recursive: bool = False,
    overwrite: bool = False,
    suffix: str = '.png',
    tile: int | None = None,
    overlap: int | None = None,
    ensemble: bool = False,
    device: str | None = None,
    dtype: str = 'float32',
    progress: Progress | None = None,
) -> list[Result]:
    """Enlarge picture files; what one of them suffers from does not stop the others.

    Args:
        inputs: files, folders and glob patterns.
        out: folder, or a file for a single input file.
        checkpoint: or a network; like tile, overlap, ensemble, device and dtype, see
            :class:`~csnln_mm.upscaling.Upscaler`.
        recursive: look into folders of folders.
        overwrite: replace results that exist; otherwise they are skipped.
        suffix: format of the results, such as '.png'; 'same' for that of each input.
        progress: is told what goes on.

    Returns:
        What became of each picture.

    Raises:
        UserError: if a setting is wrong, so that no picture could be enlarged.
    """
    progress = progress or Progress()
    jobs, failed = plan_jobs(inputs, out, recursive=recursive, suffix=suffix)
    results = [Result(source, None, 'failed', reason) for source, reason in failed]
    todo = []
    for job in jobs:
        if job.target.exists() and not overwrite:
            results.append(Result(str(job.source), job.target, 'skipped'))
        else:
            todo.append(job)
    if not todo:
        return results
    upscaler = Upscaler(
        checkpoint,
        tile=tile,
        overlap=overlap,
        ensemble=ensemble,
        device=device,
        dtype=dtype,
    )
    work = {job: _expected_work(upscaler, job) for job in todo}
    progress.begin(len(todo), sum(work.values()))
    for job in todo:
        results.append(_upscale_file(upscaler, job, work[job], progress))
    return results


def _expected_work(upscaler: Upscaler, job: Job) -> float:
    try:
        return upscaler.work(upscaler.pieces(*read_image_size(job.source)))
    except UserError:
        return 0.0  # is told when it is its turn


def _upscale_file(upscaler: Upscaler, job: Job, work: float, progress: Progress) -> Result:
    started = time.monotonic()
    done, begun = 0.0, False

    def begin(text: str) -> None:
        nonlocal begun
        begun = True
        progress.begin_picture(job.source, text, work)

    def advance(amount: float) -> None:
        nonlocal done
        done += amount
        progress.advance(amount)

    try:
        picture = read_image(job.source)
        check_format(job.target, picture)
        width, height = picture.size
        scale = upscaler.scale
        begin(
            f'{width}x{height} to {scale * width}x{scale * height}, '
            f'{upscaler.pieces(width, height)}'
        )
        write_image(job.target, upscaler(picture, advance=advance))
    except (UserError, MemoryError) as error:
        reason = str(error) or 'not enough memory'
        if not begun:
            begin('cannot be enlarged')
        progress.end_picture(f'failed: {reason}', work - done)
        return Result(str(job.source), job.target, 'failed', reason)
    progress.end_picture(f'{job.target}, {time.monotonic() - started:.1f} s', work - done)
    return Result(str(job.source), job.target, 'done')
