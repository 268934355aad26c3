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
    """How to cut HR images: squares of ``size`` HR pixels, one every ``step``."""

    size: int = 480
    step: int = 240


class _Job(NamedTuple):
    root: Path
    scales: tuple[int, ...]
    sub_images: SubImages
    make_lr: bool


# The name of an image in the data set, and the file to make it from if it is not there yet.
_Task = tuple[str, Path | None]


def prepare_div2k(
    root: Path,
    *,
    images: Path | None = None,
    make_lr: bool = False,
    scales: Sequence[int] = SCALES,
    sub_images: SubImages = SubImages(),
    processes: int | None = None,
) -> list[tuple[str, str]]:
    """Cut training images into sub-images, and list these once all are there.

    The images are the 800 of a DIV2K download, or those of any folder. The latter are cropped to
    multiples of 12; white space in their names becomes '_', and 'x2' becomes 'x_2', as do 'x3',
    'x4' and 'x8', which MMagic takes for scales. Existing files are kept: the same call resumes an
    interrupted one.

    Args:
        root: folder of the training set; images of earlier calls stay part of it.
        images: folder of images to use instead of DIV2K.
        make_lr: make the LR images that were not downloaded.
        scales: of the LR images.
        sub_images: how to cut; not larger than the smallest image.
        processes: by default one per core.

    Returns:
        Names of images that failed, and why.

    Raises:
        UserError: if images are missing, do not fit their LR partners, or would have the same name,
            or the existing sub-images were cut in another way.
    """
    job = _Job(root, tuple(scales), sub_images, make_lr or images is not None)
    _check_cut(job)
    if images is None:
        _check_download(job)
        tasks: list[_Task] = [(name, None) for name in _NAMES]
    else:
        tasks = _name_images(images, job)
    _remember_sub_images(job)
    open_tasks = [task for task in tasks if not _is_done(task[0], job)]
    failures = run_parallel(partial(_prepare, job=job), open_tasks, processes=processes)
    if not failures:
        lines = [
            f'{name} ({sub_images.size}, {sub_images.size}, 3)\n'
            for image in sorted(image for image, _ in tasks)
            for name in _sub_image_names(image, job)
        ]
        atomic_write(root / ANNOTATION_FILE, ''.join(lines).encode())
    return [(str(source or name), reason) for (name, source), reason in failures]


def _name_images(folder: Path, job: _Job) -> list[_Task]:
    """Name the images of a folder, and add those of earlier calls."""
    sources: dict[str, Path | None] = {}
    for path in list_images(folder):
        name = re.sub(r'x(?=[2348])', 'x_', re.sub(r'\s', '_', path.stem))
        if name in sources:
            raise UserError(f'{path} and {sources[name]} would have the same name')
        sources[name] = path
    if not sources:
        raise UserError(f'{folder} holds no images')
    if (job.root / _HR).is_dir():
        for path in list_images(job.root / _HR):
            sources.setdefault(path.stem, None)
    return list(sources.items())


def _hr_path(name: str, job: _Job) -> Path:
    return job.root / _HR / f'{name}.png'


def _lr_path(name: str, scale: int, job: _Job) -> Path:
    return job.root / _LR / f'X{scale}' / f'{name}x{scale}.png'


def _sub_image_folders(job: _Job) -> Iterator[tuple[int, Path]]:
    """Yield (scale, folder of sub-images), with scale 1 for HR."""
    yield 1, job.root / f'{_HR}_sub'
    for scale in job.scales:
        yield scale, job.root / _LR / f'X{scale}_sub'


def _sub_image_names(name: str, job: _Job) -> list[str]:
    """The file names of an image's sub-images, the same in every folder."""
    count = prod(
        len(_starts(side, job.sub_images)) for side in read_image_size(_hr_path(name, job))
    )
    return [f'{name}_s{i:03d}.png' for i in range(1, count + 1)]


def _starts(side: int, sub_images: SubImages) -> list[int]:
    """Where sub-images start along a side; as with MMagic's converter the last ends with it."""
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
    """Write the missing sub-images of an image, row by row."""
    starts = product(*(_starts(side, sub_images) for side in image.shape[:2]))
    for name, (y, x) in zip(names, starts, strict=True):
        if not (folder / name).exists():
            write_image(folder / name, image[y : y + sub_images.size, x : x + sub_images.size])


def _check_cut(job: _Job) -> None:
    if min(job.sub_images) < 1 or any(
        side % scale for side in job.sub_images for scale in job.scales
    ):
        raise UserError(
            f'sub-images of {job.sub_images.size} pixels every '
            f'{job.sub_images.step} are not whole LR pixels at all of the scales '
            f'{list(job.scales)}; multiples of 12 are'
        )


def _check_download(job: _Job) -> None:
    """Raise UserError, naming images, if some are missing or do not fit their partners."""
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
    """Raise ValueError unless HR is exactly ``scale`` times as wide and high as LR."""
    if tuple(hr) != (lr[0] * scale, lr[1] * scale):
        raise ValueError(f'{lr[0]}x{lr[1]} pixels of {hr[0]}x{hr[1]}')


def _some(items: Sequence[str], count: int = 5) -> str:
    more = f' and {len(items) - count} more' if len(items) > count else ''
    return ', '.join(items[:count]) + more


def _remember_sub_images(job: _Job) -> None:
    """Refuse to mix sub-images of different cuts, which have the same names."""
    path, cut = job.root / '.sub_images.json', json.dumps(job.sub_images._asdict())
    if path.exists():
        if path.read_text('utf-8', 'replace') == cut:
            return
        # A call that failed before it cut anything does not count.
        folders = [folder for _, folder in _sub_image_folders(job._replace(scales=SCALES))]
        if any(folder.is_dir() and any(folder.iterdir()) for folder in folders):
            raise UserError(
                f'the sub-images in {job.root} were cut otherwise than by {cut}, see {path}; '
                f'remove its *_sub folders and {path.name} to cut others'
            )
    atomic_write(path, cut.encode())
