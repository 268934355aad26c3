"""DIV2K, or any images in its layout, cut into the sub-images that the configs train on.

ROOT/DIV2K_train_HR/0001.png                          as downloaded
ROOT/DIV2K_train_LR_bicubic/X2/0001x2.png             as downloaded, or made here
ROOT/DIV2K_train_HR_sub/0001_s001.png                 made here
ROOT/DIV2K_train_LR_bicubic/X2_sub/0001_s001.png      made here
ROOT/meta_info_DIV2K800sub_GT.txt                     made here, last
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csnln_mm.datasets.parallel import run_parallel
from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write
from csnln_mm.images.degradation import downsample, mod_crop
from csnln_mm.images.image_file import list_images, read_image_size, read_rgb, write_image
from csnln_mm.scales import SCALES

ANNOTATION_FILE = 'meta_info_DIV2K800sub_GT.txt'
_HR = 'DIV2K_train_HR'
_LR = 'DIV2K_train_LR_bicubic'
_NAMES = [f'{i:04d}' for i in range(1, 801)]


class SubImages(NamedTuple):
    """How HR images are cut: squares of ``size`` HR pixels, one every ``step``."""

    size: int = 480
    step: int = 240


class _Job(NamedTuple):
    root: Path
    scales: tuple[int, ...]
    sub_images: SubImages
    make_lr: bool


# An image by its name in the data set, and the file that it is made from if it is not there yet.
_Task = tuple[str, Path | None]
Failures = list[tuple[str, str]]


def prepare_div2k(
    root: Path,
    *,
    scales: Sequence[int] = SCALES,
    make_lr: bool = False,
    sub_images: SubImages = SubImages(),
    processes: int | None = None,
) -> Failures:
    """Cut the 800 training images of a DIV2K download into sub-images and list these.

    Files that are there are kept, so that an interrupted run is resumed by the same call. The
    list of sub-images is written when all are there.

    Args:
        root: where the folders of the download are.
        scales: those of which LR images are wanted.
        make_lr: make LR images that were not downloaded.
        sub_images: how to cut; sizes in HR pixels.
        processes: as many as there are cores by default.

    Returns:
        Names of images that failed, and why.

    Raises:
        UserError: if images are missing or do not fit their LR partners, naming them, or the
            sub-images there were cut otherwise.
    """
    job = _Job(root, tuple(scales), sub_images, make_lr)
    _check_job(job)
    _check_download(job)
    return _prepare_all(job, [(name, None) for name in _NAMES], processes)


def prepare_images(
    source: Path,
    root: Path,
    *,
    scales: Sequence[int] = SCALES,
    sub_images: SubImages = SubImages(),
    processes: int | None = None,
) -> Failures:
    """Make a training set in DIV2K's layout of any folder of images.

    Each is cut to sides that are multiples of 12. White space in names becomes '_', and 'x2' to
    'x4' and 'x8' become 'x_2' and so on: MMagic takes these for scales.

    Args:
        source: folder of images.
        root: folder of the training set; images of earlier calls stay part of it.
        scales: see :func:`prepare_div2k`, as the others.
        sub_images: no larger than the smallest image.
        processes: see :func:`prepare_div2k`.

    Returns:
        Names of images that failed, and why.

    Raises:
        UserError: if the folder holds no images, or two that would have the same name, or
            the sub-images there were cut otherwise.
    """
    job = _Job(root, tuple(scales), sub_images, True)
    _check_job(job)
    sources: dict[str, Path | None] = {}
    for path in list_images(source):
        name = re.sub(r'x(?=[2348])', 'x_', re.sub(r'\s', '_', path.stem))
        if name in sources:
            raise UserError(f'{path} and {sources[name]} would have the same name')
        sources[name] = path
    if not sources:
        raise UserError(f'{source} holds no images')
    if (root / _HR).is_dir():
        for path in list_images(root / _HR):
            sources.setdefault(path.stem, None)
    return _prepare_all(job, list(sources.items()), processes)


def _prepare_all(job: _Job, tasks: list[_Task], processes: int | None) -> Failures:
    _remember_sub_images(job)
    open_tasks = [task for task in tasks if not _is_done(task[0], job)]
    failures = run_parallel(partial(_prepare, job=job), open_tasks, processes=processes)
    if not failures:
        side = job.sub_images.size
        lines = [
            f'{name} ({side}, {side}, 3)\n'
            for image in sorted(image for image, _ in tasks)
            for name in _sub_image_names(image, job)
        ]
        atomic_write(job.root / ANNOTATION_FILE, ''.join(lines).encode())
    return [(str(source or name), reason) for (name, source), reason in failures]


def _hr_path(name: str, job: _Job) -> Path:
    return job.root / _HR / f'{name}.png'


def _lr_path(name: str, scale: int, job: _Job) -> Path:
    return job.root / _LR / f'X{scale}' / f'{name}x{scale}.png'


def _sub_image_folders(job: _Job) -> Iterator[tuple[int, Path]]:
    """Folders of sub-images by scale, 1 for HR."""
    yield 1, job.root / f'{_HR}_sub'
    for scale in job.scales:
        yield scale, job.root / _LR / f'X{scale}_sub'


def _sub_image_names(name: str, job: _Job) -> list[str]:
    """File names of an image's sub-images, in every folder of them."""
    count = prod(
        len(_starts(side, job.sub_images)) for side in read_image_size(_hr_path(name, job))
    )
    return [f'{name}_s{i:03d}.png' for i in range(1, count + 1)]


def _starts(side: int, sub_images: SubImages) -> list[int]:
    """Where sub-images start along a side, the last at its end, as MMagic's converter does it."""
    if side < sub_images.size:
        raise ValueError(
            f'a side of {side} pixels is shorter than the sub-images '
            f'({sub_images.size}); choose a smaller --crop-size'
        )
    starts = list(range(0, side - sub_images.size + 1, sub_images.step))
    if starts[-1] + sub_images.size < side:
        starts.append(side - sub_images.size)
    return starts


def _is_done(name: str, job: _Job) -> bool:
    if not _hr_path(name, job).exists():
        return False
    try:
        names = _sub_image_names(name, job)
    except (UserError, ValueError):
        return False
    return all((folder / name).exists() for _, folder in _sub_image_folders(job) for name in names)


def _prepare(task: _Task, job: _Job) -> None:
    name, source = task
    hr_path = _hr_path(name, job)
    if source and not hr_path.exists():
        hr = mod_crop(read_rgb(source), 12)
        for side in hr.shape[:2]:
            _starts(side, job.sub_images)
        write_image(hr_path, hr)
    hr = read_rgb(hr_path)
    names = _sub_image_names(name, job)
    for scale, folder in _sub_image_folders(job):
        image = hr
        if scale > 1:
            path = _lr_path(name, scale, job)
            if job.make_lr and not path.exists():
                write_image(path, downsample(mod_crop(hr, scale), scale))
            image = read_rgb(path)
            _check_fit(hr.shape[1::-1], image.shape[1::-1], scale)
        _cut(image, folder, names, SubImages(*(side // scale for side in job.sub_images)))


def _cut(image: np.ndarray, folder: Path, names: Sequence[str], sub_images: SubImages) -> None:
    """Write those sub-images of an image, row by row, that are not there yet."""
    starts = product(*(_starts(side, sub_images) for side in image.shape[:2]))
    for name, (y, x) in zip(names, starts, strict=True):
        if not (folder / name).exists():
            write_image(folder / name, image[y : y + sub_images.size, x : x + sub_images.size])


def _check_job(job: _Job) -> None:
    if min(job.sub_images) < 1 or any(
        side % scale for side in job.sub_images for scale in job.scales
    ):
        raise UserError(
            f'sub-images of {job.sub_images.size} pixels every '
            f'{job.sub_images.step} are not whole LR pixels at all of the scales '
            f'{list(job.scales)}; multiples of 12 are'
        )


def _check_download(job: _Job) -> None:
    """Raise UserError, naming them, if images are missing or are not partners."""
    problems = []
    paths = {_HR: [_hr_path(name, job) for name in _NAMES]}
    if not job.make_lr:
        for scale in job.scales:
            paths[f'{_LR}/X{scale}'] = [_lr_path(name, scale, job) for name in _NAMES]
    for folder, files in paths.items():
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            problems.append(f'{job.root / folder} lacks {len(missing)} of 800: ' + _some(missing))
    if problems:
        hint = '' if job.make_lr or _HR in problems[0] else ' (--make-lr makes LR images)'
        raise UserError('; '.join(problems) + hint)
    for scale in job.scales:
        misfits = []
        for name in _NAMES:
            lr_path = _lr_path(name, scale, job)
            if lr_path.exists():
                try:
                    _check_fit(
                        read_image_size(_hr_path(name, job)), read_image_size(lr_path), scale
                    )
                except ValueError as error:
                    misfits.append(f'{lr_path.name}, {error}')
        if misfits:
            raise UserError(
                f'{len(misfits)} images of {job.root / _LR}/X{scale} do not fit their '
                f'HR images: {_some(misfits)}'
            )


def _check_fit(hr: Sequence[int], lr: Sequence[int], scale: int) -> None:
    """Raise ValueError unless an HR image of this (width, height) is just what its LR wants."""
    if tuple(hr) != (lr[0] * scale, lr[1] * scale):
        raise ValueError(f'{lr[0]}x{lr[1]} pixels of {hr[0]}x{hr[1]}')


def _some(items: Sequence[str], count: int = 5) -> str:
    more = f' and {len(items) - count} more' if len(items) > count else ''
    return ', '.join(items[:count]) + more


def _remember_sub_images(job: _Job) -> None:
    """Refuse to mix sub-images of different cuts: both are named alike."""
    path, cut = job.root / '.sub_images.json', json.dumps(job.sub_images._asdict())
    if path.exists():
        if path.read_text('utf-8', 'replace') == cut:
            return
        # A call that failed before it cut anything is no reason to refuse.
        folders = [folder for _, folder in _sub_image_folders(job._replace(scales=SCALES))]
        if any(folder.is_dir() and any(folder.iterdir()) for folder in folders):
            raise UserError(
                f'the sub-images in {job.root} were cut otherwise than by {cut}, see {path}; '
                f'remove its *_sub folders and {path.name} to cut others'
            )
    atomic_write(path, cut.encode())
