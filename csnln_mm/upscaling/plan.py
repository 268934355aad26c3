"""Decide which images are upscaled and where results go, and refuse what cannot be done."""

import glob
import math
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csnln_mm.device import free_main_memory
from csnln_mm.errors import UserError
from csnln_mm.files import check_file
from csnln_mm.images.bands import check_bands, parse_bands
from csnln_mm.images.foreign_formats import FOREIGN_SUFFIXES, describe_foreign
from csnln_mm.images.formats import ANIMATED, OUTPUT_FORMATS, SUFFIXES, load_plugin
from csnln_mm.images.image_file import ImageHeader, check_format, read_header
from csnln_mm.limits import LARGE_IMAGE_PIXELS
from csnln_mm.upscaling.names import SOFTWARE, Names
from csnln_mm.upscaling.sizes import TargetSize

# What names end with when results lie beside their inputs.
_LABEL = re.compile(r'(.+)_(x\d+(\.\d+)?|(w|longest|shortest)\d+|(fit|at-least)\d+x\d+)')


class Job(NamedTuple):
    """An input and its planned result.

    Attributes:
        source: an image file; or an input in which there are none.
        target: where the result goes; None if there is none.
        header: of the source; None if it could not be read.
        refusal: why it cannot be upscaled; '' if it can.
        is_done: whether the result exists and is to stay, or none is needed.
        note: why it is done: what made the result that exists, or that the image is large enough.
        size: (width, height) of the result; (0, 0) until :func:`plan_sizes`.
    """

    source: str
    target: Path | None = None
    header: ImageHeader | None = None
    refusal: str = ''
    is_done: bool = False
    note: str = ''
    size: tuple[int, int] = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether there is work to do."""
        return not self.refusal and not self.is_done


class _Found(NamedTuple):
    """An image file, with its header or what is wrong with it.

    ``place`` is where it lies below the folder that was searched; None for a file named as such.
    """

    path: Path
    place: Path | None
    header: ImageHeader | None
    problem: str

    @classmethod
    def at(cls, path: Path, frame: int | None, place: Path | None = None) -> '_Found':
        try:
            return cls(path, place, read_header(path, frame), '')
        except UserError as error:
            return cls(path, place, None, str(error))

    @property
    def is_result(self) -> bool:
        """Whether an earlier run wrote it, as its metadata say, and nobody named it."""
        written_by = self.header.software if self.header else ''
        return self.place is not None and written_by.startswith(SOFTWARE)


def plan_jobs(
    inputs: Iterable[str | Path],
    names: Names,
    *,
    recursive: bool,
    suffix: str,
    overwrite: bool = False,
    bands: str | None = None,
    frame: int | None = None,
) -> tuple[list[Job], int, dict[str, int]]:
    """Find the images, and read their headers.

    Results are no inputs, unless they are named as files: what lies in the output folder, if that
    is in the folder that is searched, and files whose metadata name this package.

    Args:
        inputs: files, folders and glob patterns (``**`` for any depth).
        names: where results go; ``out`` is a folder, made if need be, or, for one file, a file with
            the suffix of an image. Images keep their place below an input folder or the fixed part
            of a pattern. Files with the names of results, beside an input, are results as well.
        recursive: search subfolders.
        suffix: of the results, such as '.png'; 'same' for that of the input; 'auto' for '.png',
            '.tif' for what a PNG cannot hold, and for animations that of their format.
        overwrite: replace results that exist.
        bands: those that are upscaled, as of :func:`~csnln_mm.images.bands.parse_bands`.
        frame: which frames or pages are upscaled, as of
            :func:`~csnln_mm.images.image_file.read_header`.

    Returns:
        The jobs in order; how many results of earlier runs were left out; and how many images have
        formats that are not read, by suffix.

    Raises:
        UserError: if the format is unknown, or ``out`` cannot hold the results.
    """
    if suffix not in ('same', 'auto', *OUTPUT_FORMATS):
        raise UserError(f'unknown format {suffix}; use same or one of {", ".join(OUTPUT_FORMATS)}')
    if suffix not in ('same', 'auto'):
        load_plugin(OUTPUT_FORMATS[suffix][0])
    out = names.out
    unwritable = (FOREIGN_SUFFIXES | set(SUFFIXES)) - OUTPUT_FORMATS.keys()
    if out is not None and out.suffix.lower() in unwritable and not out.is_dir():
        raise UserError(
            f'output {out}: {out.suffix} cannot be written; use one of {", ".join(OUTPUT_FORMATS)}'
        )
    jobs: list[Job] = []
    found: list[_Found] = []
    left_out = 0
    foreign: set[Path] = set()
    for item in inputs:
        try:
            files = _find(str(Path(item).expanduser()), recursive, out, foreign, frame)
            kept = [file for file in files if not file.is_result]
            left_out += len(files) - len(kept)
            if files and not kept:
                raise UserError(
                    f'all images in {item} are results of {SOFTWARE}; name them as files to '
                    'upscale them again'
                )
            found += kept
        except UserError as error:
            jobs.append(Job(str(item), refusal=str(error)))
        except OSError as error:  # a name too long, a folder that may not be searched
            refusal = f'cannot look for {item}: {error.strerror or error}'
            jobs.append(Job(str(item), refusal=refusal))
    if out is None:
        named = {(file.path.parent, file.path.stem) for file in found}
        kept = [file for file in found if not file.place or not _has_name_of_result(file, named)]
        left_out += len(found) - len(kept)
        found = kept
    found = list({os.path.realpath(file.path): file for file in reversed(found)}.values())[::-1]
    if out is not None:
        _check_out(out, found)

    sources = {os.path.realpath(file.path) for file in found}
    taken: dict[str, Path] = {}
    for file in found:
        file = _with_bands(file, bands)
        target = _target(file, names, suffix, alone=len(found) == 1)
        job = Job(str(file.path), target)
        real = os.path.realpath(target)
        if real in sources:
            jobs.append(job._replace(refusal=f'the result would replace the input: {target}'))
        elif real in taken:
            refusal = (
                f'{target} is already the result of {taken[real]}; use another output folder or '
                '--format same'
            )
            jobs.append(job._replace(refusal=refusal))
        else:
            taken[real] = file.path
            jobs.append(_check(job, file, overwrite))
    return jobs, left_out, dict(Counter(path.suffix.lower() for path in sorted(foreign)))


def plan_sizes(jobs: Iterable[Job], size: TargetSize, *, skip_larger: bool = False) -> list[Job]:
    """Set the sizes of the results; refuse those that no file can hold.

    Args:
        jobs: from :func:`plan_jobs`.
        size: of the results.
        skip_larger: leave images as they are that need not grow for it.
    """
    planned = []
    for job in jobs:
        header, target = job.header, job.target
        if job.is_open and header is not None and target is not None:
            job = job._replace(size=size.of(header.size))
            if skip_larger and size.factor(header.size) <= 1:
                width, height = header.size
                planned.append(job._replace(is_done=True, target=None, note=f'{width}x{height}'))
                continue
            try:
                check_format(target, header._replace(size=job.size))
                _check_memory(job)
            except UserError as error:
                job = job._replace(refusal=str(error))
        planned.append(job)
    return planned


def _check(job: Job, file: _Found, overwrite: bool) -> Job:
    """Complete a job with everything that is known before the work."""
    assert job.target is not None
    if not overwrite and os.path.isfile(job.target) and os.path.exists(file.path):
        try:
            software = read_header(job.target).software
        except UserError:
            software = ''
        return job._replace(header=file.header, is_done=True, note=software)
    try:
        check_file(job.target)
    except UserError as error:
        return job._replace(refusal=str(error))
    return job._replace(header=file.header, refusal=file.problem)


def _target(file: _Found, names: Names, suffix: str, *, alone: bool) -> Path:
    kind, out = file.path.suffix if suffix == 'same' else suffix, names.out
    if suffix == 'auto' or not kind:
        kind = _suffix(file.header) if file.header else '.png'
    if out is None:
        return file.path.with_name(names.fill(file.path.stem, file.header) + kind)
    if alone and file.place is None and names.template is None and _names_image(out):
        return out
    place = (file.place or Path(file.path.name)).with_suffix('')
    return out / (names.fill(str(place), file.header) + kind)


def _with_bands(file: _Found, bands: str | None) -> _Found:
    """Reduce the header of a file to the chosen bands."""
    if file.header is None or bands is None:
        return file
    groups = parse_bands(bands)
    try:
        check_bands(groups, sum(file.header.groups))
    except UserError as error:
        return file._replace(problem=f'{file.path}: {error}')
    return file._replace(header=file.header._replace(groups=tuple(map(len, groups))))


def _suffix(header: ImageHeader) -> str:
    """Choose '.png', the format of an animation, or '.tif' for what a PNG cannot hold."""
    if header.frames > 1:
        return ANIMATED.get(header.kind, '.tif')
    needs_tiff = (
        header.has_place
        or header.groups not in ((1,), (3,))
        or header.dtype not in ('uint8', 'uint16')
    )
    return '.tif' if needs_tiff else '.png'


def is_by_rows(job: Job) -> bool:
    """Whether an image is read and written by rows: a large one, from TIFF to TIFF."""
    if job.header is None or job.target is None:
        return False
    pixels = max(math.prod(job.header.size), math.prod(job.size))
    is_tiff = job.target.suffix.lower() in ('.tif', '.tiff')
    large = pixels >= LARGE_IMAGE_PIXELS
    return job.header.by_rows and is_tiff and large and job.header.frames == 1


def _check_memory(job: Job) -> None:
    """Raise UserError if an image that is not read by rows cannot be in memory with its result."""
    assert job.header is not None and job.target is not None
    result = math.prod(job.size)
    if job.target.suffix.lower() in ('.apng', '.gif', '.png'):  # of which Pillow keeps all frames
        result *= job.header.frames
    if result < LARGE_IMAGE_PIXELS or is_by_rows(job):
        return
    bands = sum(job.header.groups) + job.header.alpha
    size = np.dtype(job.header.dtype).itemsize
    # The pixels of both, and the file before it is written.
    needed = bands * size * (math.prod(job.header.size) + 2 * result)
    free = free_main_memory()
    if free is not None and needed > free:
        how = 'write .tif, which takes little'
        if job.header.frames > 1:
            how = 'write .webp, which takes that of one frame'
        elif not job.header.by_rows:
            how = f'convert it to TIFF, and {how}'
        raise UserError(
            f'{job.target}: a result of {job.size[0]}x{job.size[1]} pixels takes about '
            f'{needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; {how}'
        )


def _check_out(out: Path, found: list[_Found]) -> None:
    """Raise UserError unless ``out`` can hold all results, or be the only one."""
    if _names_image(out):
        if len(found) > 1:
            raise UserError(
                f'output {out} is named like an image, but there are {len(found)} images; '
                'name a folder'
            )
        if found and found[0].place is None:
            return
    if out.exists() and not out.is_dir():
        raise UserError(f'output {out} is a file; name a folder')


def _names_image(out: Path) -> bool:
    return out.suffix.lower() in OUTPUT_FORMATS and not out.is_dir()


def _has_name_of_result(file: _Found, named: set[tuple[Path, str]]) -> bool:
    """Whether a file is named like the result of another input."""
    match = _LABEL.fullmatch(file.path.stem)
    return match is not None and (file.path.parent, match[1]) in named


def _find(
    item: str, recursive: bool, out: Path | None, foreign: set[Path], frame: int | None
) -> list[_Found]:
    """Find the images of an input; add those of unsupported formats to ``foreign``."""
    path = Path(item)
    if path.is_dir():
        root, where = path, '' if recursive else ' (folders in it are skipped without --recursive)'
        files = path.glob('**/*' if recursive else '*')
        nothing = f'no images in {path}{where}'
    elif path.exists() or not glob.has_magic(item):
        # What does not exist is reported when its job is planned.
        return [_Found.at(path, frame)]
    else:
        root = Path(re.split(r'[*?[]', item)[0] + '_').parent
        files = map(Path, glob.iglob(item, recursive=True))
        nothing = f'no images match {item}'
    left_out = _inside(out, root)
    candidates = sorted(file for file in files if _is_candidate(file, left_out))
    found = [file for file in candidates if file.suffix.lower() in SUFFIXES]
    others = [file for file in candidates if file.suffix.lower() not in SUFFIXES]
    foreign.update(others)
    if not found:
        raise UserError(f'{nothing}{_and_not_read(others)}')
    return [_Found.at(file, frame, file.relative_to(root)) for file in found]


def _inside(out: Path | None, root: Path) -> Path | None:
    """The output folder if it lies within the folder that is searched."""
    if out is None:
        return None
    out, root = Path(os.path.realpath(out)), Path(os.path.realpath(root))
    return out if out != root and out.is_relative_to(root) else None


def _is_candidate(file: Path, left_out: Path | None) -> bool:
    """Whether a file has the suffix of an image, and is not in the output folder."""
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES and suffix not in FOREIGN_SUFFIXES:
        return False
    if file.name.startswith('.') or not file.is_file():
        return False
    return left_out is None or not Path(os.path.realpath(file)).is_relative_to(left_out)


def _and_not_read(files: list[Path]) -> str:
    """Such as '; not read: 2 .heic (convert them to PNG or JPEG)'; '' without files."""
    counts = Counter(file.suffix.lower() for file in files)
    return f'; not read: {describe_foreign(counts)}' if counts else ''
