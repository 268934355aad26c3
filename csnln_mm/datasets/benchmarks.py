"""Make test sets, in the layout of MMagic's benchmarks, from HR images."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from csnln_mm.datasets.parallel import run_parallel
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample, mod_crop
from csnln_mm.images.image_file import list_images, read_rgb, write_image
from csnln_mm.scales import SCALES

GT_FOLDER = 'GTmod12'


def lr_folder(scale: int) -> str:
    """The name of the folder for images reduced by ``scale``."""
    return f'LRbicx{scale}'


def find_test_sets(source: Path) -> dict[str, list[Path]]:
    """Map test sets to their HR images.

    Args:
        source: a folder of images, or with a subfolder HR or GTmod12 of images, which is one test
            set called ''; or a folder of such folders, whose names are those of the test sets.

    Raises:
        UserError: if there are no images, or two of the same name.
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
) -> tuple[dict[str, int], list[tuple[Path, str]]]:
    """Write ``GTmod12`` and ``LRbicx2`` .. ``LRbicx4`` by the protocol of the field.

    HR images are cropped to multiples of 12, and reduced by MATLAB's antialiased bicubic with
    rounding to 8 bits. Grey images get three equal channels. Existing files are kept: the same call
    resumes an interrupted one.

    Args:
        source: see :func:`find_test_sets`.
        target: folder for one test set, or for a folder per test set.
        scales: divisors of 12.
        processes: by default one per core.

    Returns:
        The number of images of each test set, and the failed images with reasons; all others are
        done.

    Raises:
        UserError: if ``source`` has no images, or two images of the same name.
    """
    sets = find_test_sets(source)
    tasks = [(path, target / name) for name, paths in sets.items() for path in paths]
    failures = run_parallel(partial(_prepare, scales=tuple(scales)), tasks, processes=processes)
    counts = {name: len(paths) for name, paths in sets.items()}
    return counts, [(path, reason) for (path, _), reason in failures]


def write_test_images(
    load: Callable[[], np.ndarray], folder: Path, name: str, scales: Sequence[int]
) -> None:
    """Write an image and its reductions, unless they exist.

    Args:
        load: returns the HR image, uint8 [H, W, 3]; not called if all files exist.
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
    # GT comes first, since a test lists the LR images and needs the partner of each.
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
