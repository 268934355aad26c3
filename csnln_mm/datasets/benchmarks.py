"""Test sets as MMagic's benchmarks are laid out, from HR images."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csnln_mm.datasets.parallel import run_parallel
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample, mod_crop
from csnln_mm.images.image_file import list_images, read_rgb, write_image
from csnln_mm.scales import SCALES

GT_FOLDER = 'GTmod12'


def lr_folder(scale: int) -> str:
    """Name of the folder of images reduced by ``scale``."""
    return f'LRbicx{scale}'


class Preparation(NamedTuple):
    """What was done: images of each test set, and those that failed with the reasons."""

    counts: dict[str, int]
    failures: list[tuple[Path, str]]


def find_test_sets(source: Path) -> dict[str, list[Path]]:
    """HR images by test set.

    Args:
        source: a folder of images, or with images in a subfolder HR or GTmod12, which is one test
            set named ''; or a folder of such folders, each named as its folder is.

    Raises:
        UserError: if there is nothing of the kind, or two images of the same name.
    """
    images = _hr_images(source)
    if images:
        return {'': images}
    folders = (folder for folder in sorted(source.iterdir()) if folder.is_dir())
    sets = {folder.name: images for folder in folders if (images := _hr_images(folder))}
    if not sets:
        raise UserError(
            f'{source} holds no images, in itself, in HR/ or GTmod12/, or in the folders of a test '
            'set each'
        )
    return sets


def prepare_benchmarks(
    source: Path, target: Path, *, scales: Sequence[int] = SCALES, processes: int | None = None
) -> Preparation:
    """Write ``GTmod12`` and ``LRbicx2`` .. ``LRbicx4`` by the protocol of the field.

    The HR image is cut to sides that are multiples of 12 and reduced by MATLAB's antialiased
    bicubic, rounded to 8 bits. Grey images get three equal channels. Images whose files are
    there are skipped, so that an interrupted run is resumed by the same call.

    Args:
        source: see :func:`find_test_sets`.
        target: one test set goes into it, several go into folders of their names in it.
        scales: divisors of 12.
        processes: as many as there are cores by default.

    Returns:
        Counts and failures; images that did not fail are done.

    Raises:
        UserError: if ``source`` holds no images, or two images of the same name.
    """
    sets = find_test_sets(source)
    tasks = [(path, target / name) for name, paths in sets.items() for path in paths]
    failures = run_parallel(partial(_prepare, scales=tuple(scales)), tasks, processes=processes)
    return Preparation(
        {name: len(paths) for name, paths in sets.items()},
        [(path, reason) for (path, _), reason in failures],
    )


def write_test_images(
    load: Callable[[], np.ndarray], folder: Path, name: str, scales: Sequence[int]
) -> None:
    """Write an image and its reductions, those that are not there yet.

    Args:
        load: gives the HR image, uint8 [H, W, 3]; not called where all is there.
        folder: of the test set.
        name: of the image, without a suffix.
        scales: divisors of 12.

    Raises:
        ValueError: if a side of the image is shorter than 12.
        OSError: if a file cannot be written.
    """
    file = f'{name}.png'
    gt_path = folder / GT_FOLDER / file
    lr_paths = {scale: folder / lr_folder(scale) / file for scale in scales}
    if all(path.exists() for path in (gt_path, *lr_paths.values())):
        return
    gt = mod_crop(load(), 12)
    # First: a test lists the LR images, and each of them must have its partner.
    if not gt_path.exists():
        write_image(gt_path, gt)
    for scale, path in lr_paths.items():
        if not path.exists():
            write_image(path, downsample(gt, scale))


def _hr_images(folder: Path) -> list[Path]:
    subfolders = [path for name in ('HR', GT_FOLDER) if (path := folder / name).is_dir()]
    return next((images for f in (folder, *subfolders) if (images := list_images(f))), [])


def _prepare(task: tuple[Path, Path], *, scales: Sequence[int]) -> None:
    source, folder = task
    write_test_images(partial(read_rgb, source), folder, source.stem, scales)
