"""Measure PSNR and SSIM of models, and of finished results, on folders of images."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from csnln_mm.datasets.benchmarks import find_test_sets
from csnln_mm.errors import UserError
from csnln_mm.images.metrics import Score
from csnln_mm.images.value_range import RangeOption
from csnln_mm.paper.model_size import model_size
from csnln_mm.paper.perceptual import Metric
from csnln_mm.paper.results import Result
from csnln_mm.upscaling import Upscaler
from csnln_mm.upscaling.tile_size import may_attend
from csnln_mm.upscaling.upscaler import network_bands
from csnln_mm.visualization.comparison import Comparison, compare_methods

# The size of the result that multiply-adds are counted for, as in papers on small models.
_RESULT = 1280, 720
_TIMED_SIDE = 512
_CROPPED_TO = 12

Track = Callable[[str, Iterator[Comparison], int], Iterable[Comparison]]


def collect_images(folders: Iterable[str | Path]) -> dict[str, list[Path]]:
    """Map test sets to their images.

    Args:
        folders: see :func:`~csnln_mm.datasets.benchmarks.find_test_sets`; a folder that is one test
            set has its name.

    Raises:
        UserError: if a folder has no images, or two test sets have the same name.
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
    methods: Mapping[str, Upscaler | str | Path],
    scale: int,
    *,
    metrics: Sequence[Metric] = (),
    jpeg: Sequence[int] = (),
    value_range: RangeOption = None,
    bands: str | None = None,
    with_time: bool = False,
    track: Track = lambda test_set, comparisons, count: comparisons,
) -> list[Result]:
    """Measure methods by the protocol of the field.

    Images are cropped at the bottom and right to multiples of 12, reduced by MATLAB's bicubic to
    their own type, and upscaled. Scores compare the Y channels without a border of ``scale``
    pixels; of other than three bands, all values. They refer to the range of values.

    Args:
        sets: images by test set, at least 11 + 2 ``scale`` pixels wide and high.
        methods: see :func:`~csnln_mm.visualization.compare_methods`. Finished results are in a
            folder named after the test set, or, for a single test set, in the folder itself. If
            their sizes are multiples of ``scale`` only, all methods are measured on such crops.
        scale: of all methods.
        metrics: further metrics, of the uncropped RGB images.
        jpeg: qualities; at each of them, measure on reduced images that were compressed as JPEG.
            Such a test set is called 'Set5, JPEG 50'.
        value_range, bands: see :meth:`csnln_mm.upscaling.Upscaler.__call__`.
        with_time: measure seconds as well.
        track: called with the name, the comparisons and their number, for each test set; yields the
            comparisons, and may report progress.

    Raises:
        UserError: for the reasons of ``compare_methods``, or if a test set has no finished results.
    """
    cases = {
        name if quality is None else f'{name}, JPEG {quality}': (name, quality)
        for name in sets
        for quality in jpeg or (None,)
    }
    comparisons = {
        case: compare_methods(
            sets[name],
            {method: _of_set(run, name, len(sets)) for method, run in methods.items()},
            scale=scale,
            multiple=_CROPPED_TO,
            jpeg=quality,
            deep=True,
            value_range=value_range,
            bands=bands,
        )
        for case, (name, quality) in cases.items()
    }
    rows = {name: Result(name, {}, perceptual={}) for name in methods}
    for case, of_case in comparisons.items():
        scores: dict[str, list[Score]] = {name: [] for name in methods}
        further: dict[str, list[list[float]]] = {name: [] for name in methods}
        for comparison in track(case, of_case, len(sets[cases[case][0]])):
            for name, result in comparison.results.items():
                scores[name].append(comparison.scores[name])
                further[name].append([metric(result, comparison.gt) for metric in metrics])
        for name, row in rows.items():
            row.scores[case] = Score.mean(scores[name])
            row.perceptual[case] = np.mean(further[name], axis=0).tolist()
    for name, run in methods.items():
        if isinstance(run, Upscaler):
            rows[name] = rows[name]._replace(
                parameters=sum(p.numel() for p in run.network.parameters()),
                multiply_adds=multiply_adds(run, scale),
                seconds=_seconds(run) if with_time else None,
            )
    return list(rows.values())


def multiply_adds(upscaler: Upscaler, scale: int) -> int:
    """Count multiply-adds for a result of 1280x720 pixels, with attention in the usual tiles."""
    width, height = (round(side / scale) for side in _RESULT)
    if not may_attend(upscaler.network):
        return model_size(upscaler.network, (height, width)).multiply_adds
    tiling = upscaler.tiling(width, height)
    tile = min(height, tiling.tile or height), min(width, tiling.tile or width)
    return tiling.count * model_size(upscaler.network, tile).multiply_adds


def _of_set(method: Upscaler | str | Path, test_set: str, count: int) -> Upscaler | str | Path:
    """The method for a test set; of finished results, the folder of that set."""
    if isinstance(method, Upscaler) or not Path(method).is_dir():
        return method
    folder = Path(method) / test_set
    if folder.is_dir():
        return folder
    if count > 1:
        raise UserError(f'{method} has no folder {test_set} of results')
    return method


def _seconds(upscaler: Upscaler) -> float:
    """Measure the time for 512x512 pixels; the median of three runs."""
    shape = _TIMED_SIDE, _TIMED_SIDE, network_bands(upscaler.network)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    upscaler(image[:32, :32])  # warms up
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        upscaler(image)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
