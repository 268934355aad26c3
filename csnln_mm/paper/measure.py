"""PSNR and SSIM of models on folders of images, beside small models as others published them."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csnln_mm.datasets.benchmarks import find_test_sets
from csnln_mm.errors import UserError
from csnln_mm.images import downsample, upsample
from csnln_mm.images.metrics import Score, read_gt
from csnln_mm.paper.model_size import model_size
from csnln_mm.paper.published import COMPACT
from csnln_mm.paper.tables import format_table
from csnln_mm.upscaling import Upscaler
from csnln_mm.upscaling.tile_size import may_attend

# Of the image that multiply-adds are counted for, as papers on small models count them.
_RESULT = 1280, 720
_TIMED_SIDE = 512


class Measured(NamedTuple):
    """A model and what was measured of it; None is what was not.

    Attributes:
        name: of the model.
        scores: mean PSNR and SSIM on Y by test set.
        parameters: how many.
        multiply_adds: for a result of 1280x720 pixels.
        seconds: for an image of 512x512 pixels, the median of three.
    """

    name: str
    scores: dict[str, Score]
    parameters: int | None = None
    multiply_adds: int | None = None
    seconds: float | None = None


def collect_images(folders: Iterable[str | Path]) -> dict[str, list[Path]]:
    """Images by test set.

    Args:
        folders: see :func:`~csnln_mm.datasets.benchmarks.find_test_sets`; a folder that is one test
            set gives it its name.

    Raises:
        UserError: if a folder has no images, or two test sets have one name.
    """
    sets: dict[str, list[Path]] = {}
    for folder in map(Path, folders):
        for name, paths in find_test_sets(folder).items():
            name = name or folder.resolve().name
            if name in sets:
                raise UserError(f'two test sets are named {name}')
            sets[name] = paths
    return sets


def measure(
    sets: Mapping[str, list[Path]],
    methods: Mapping[str, Upscaler | None],
    scale: int,
    *,
    with_time: bool = False,
    track: Callable[[str, list[Path]], Iterable[Path]] = lambda name, paths: paths,
) -> list[Measured]:
    """Measure models on images, by the protocol of the field.

    Images are cropped at the bottom and right to sides that 12 divides, reduced by MATLAB's bicubic
    to 8 bits, and upscaled again; compared are the Y channels without a border of ``scale`` pixels.

    Args:
        sets: images by test set, at least 11 + 2 ``scale`` pixels wide and high.
        methods: by name; None for MATLAB's bicubic.
        scale: of all methods.
        with_time: measure seconds as well.
        track: called with a test set's name and images; gives the images, and may tell of them.

    Raises:
        UserError: if an image cannot be read or is too small.
    """
    scores: dict[str, dict[str, Score]] = {name: {} for name in methods}
    for test_set, paths in sets.items():
        each: dict[str, list[Score]] = {name: [] for name in methods}
        for path in track(test_set, paths):
            gt = read_gt(path, 12, scale)
            lq = downsample(gt, scale)
            for name, upscaler in methods.items():
                result = upsample(lq, scale) if upscaler is None else upscaler(lq)
                each[name].append(Score.of(result, gt, scale))
        for name, values in each.items():
            scores[name][test_set] = Score.mean(values)
    rows = []
    for name, upscaler in methods.items():
        row = Measured(name, scores[name])
        if upscaler is not None:
            row = row._replace(
                parameters=sum(p.numel() for p in upscaler.network.parameters()),
                multiply_adds=multiply_adds(upscaler, scale),
                seconds=_seconds(upscaler) if with_time else None,
            )
        rows.append(row)
    return rows


def multiply_adds(upscaler: Upscaler, scale: int) -> int:
    """Of upscaling to 1280x720 pixels; with attention in the tiles that the image goes through.

    Args:
        upscaler: of the network.
        scale: from the LR image to the result.
    """
    width, height = (round(side / scale) for side in _RESULT)
    if not may_attend(upscaler.network):
        return model_size(upscaler.network, (height, width)).multiply_adds
    tiling = upscaler.tiling(width, height)
    tile = min(height, tiling.tile or height), min(width, tiling.tile or width)
    return tiling.count * model_size(upscaler.network, tile).multiply_adds


def measured_table(rows: Iterable[Measured], scale: int, style: str = 'text') -> str:
    """Measured models below the published small ones, which are marked with an asterisk.

    Published are those that have figures on one of the test sets.

    Args:
        rows: of :func:`measure`, on the same test sets.
        scale: theirs.
        style: 'text' or 'markdown'.
    """
    rows = list(rows)
    sets = list(rows[0].scores)
    published = [
        Measured(f'{row.method} *', row.scores, row.parameters, row.multiply_adds)
        for row in COMPACT
        if row.scale == scale and any(row.scores.get(name) for name in sets)
    ]
    timed = any(row.seconds is not None for row in rows)
    header = [f'x{scale}, PSNR / SSIM', 'parameters', 'multiply-adds', *sets]
    if timed:
        header.insert(3, 'seconds')
    lines = []
    for row in sorted(published, key=lambda row: row.scores['Set5'].psnr) + rows:
        cells = [
            row.name,
            '' if row.parameters is None else f'{row.parameters / 1e3:,.0f}K',
            '' if row.multiply_adds is None else f'{row.multiply_adds / 1e9:,.1f}G',
            *(str(row.scores.get(name, '-')) for name in sets),
        ]
        if timed:
            cells.insert(3, '' if row.seconds is None else f'{row.seconds:.1f}')
        lines.append(cells)
    return format_table(header, lines, style)


def _seconds(upscaler: Upscaler) -> float:
    image = np.random.default_rng(0).integers(0, 256, (_TIMED_SIDE, _TIMED_SIDE, 3), np.uint8)
    upscaler(image[:32, :32])  # what is made ready once does not count
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        upscaler(image)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
