"""Compare methods (Figure 5 of the paper): bicubic, networks, and results of other programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csnln_mm.datasets.pairs import pair_images
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import compress_as_jpeg, downsample, upsample
from csnln_mm.images.ground_truth import GroundTruth
from csnln_mm.images.image_file import list_images, read_rgb
from csnln_mm.images.metrics import Score, read_gt
from csnln_mm.images.value_range import RangeOption
from csnln_mm.tables import format_table
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.drawing import new_figure, render, show
from csnln_mm.visualization.maps import BOX_COLOURS
from csnln_mm.visualization.overlays import draw_box

BICUBIC = 'bicubic'

# How to get the results of a method: None for bicubic, a network, or files by ground truth.
Run = Upscaler | dict[Path, Path] | None


class Comparison(NamedTuple):
    """The results of several methods for one image.

    Attributes:
        name: stem of the image's file.
        gt: ground truth, uint8 RGB, [H, W, 3]; or, if it was read as it is, [H, W, C] in 0..255.
        results: by method, of the same shape.
        scores: by method, without a border of ``scale`` pixels.
        scale: S.
    """

    name: str
    gt: np.ndarray
    results: dict[str, np.ndarray]
    scores: dict[str, Score]
    scale: int


def compare_methods(
    gt: str | Path | Sequence[Path],
    methods: Mapping[str, Upscaler | str | Path],
    *,
    scale: int | None = None,
    multiple: int | None = None,
    jpeg: int | None = None,
    deep: bool = False,
    value_range: RangeOption = None,
    bands: str | None = None,
    device: str | None = None,
    on_tile: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Comparison]:
    """Reduce images by the field's protocol, and upscale them by each method.

    Images are cropped at the bottom and right, and reduced by MATLAB's antialiased bicubic to their
    own type.

    Args:
        gt: an image, a folder of images such as ``data/Set5/GTmod12``, or a list of images.
        methods: by name: 'bicubic'; an :class:`~csnln_mm.upscaling.Upscaler`, or a checkpoint for
            one; or a folder of finished results, paired with the ground truths by name as in
            :func:`~csnln_mm.datasets.pairs.find_pairs`.
        scale: S; by default that of the networks, or 2 without any.
        multiple: crop both sides to multiples of this number; by default S. If the sizes of
            finished results say so, S or 12 is used instead.
        jpeg: compress the reduced images as JPEG of this quality, 1 to 100, first.
        deep: compare images of more than 8 bits, or of other bands, as they are, against their
            range of values; by default all are reduced to 8-bit RGB first.
        value_range, bands: of these, see :meth:`csnln_mm.upscaling.Upscaler.__call__`.
        device, on_tile: see :class:`~csnln_mm.upscaling.Upscaler`.

    Returns:
        An iterator over the comparisons of all images, in order of their names.

    Raises:
        UserError: if there are no methods or no images, scales differ, or a file is missing,
            damaged, or of the wrong size; if possible, before the first image is upscaled.
    """
    if not methods:
        raise UserError('there are no methods to compare')
    paths = _images(gt)
    runs: dict[str, Run] = {}
    for name, method in methods.items():
        if method == BICUBIC:
            runs[name] = None
        elif isinstance(method, Upscaler):
            runs[name] = method
        elif Path(method).is_dir():
            runs[name] = _finished_results(Path(method), paths)
        else:
            runs[name] = Upscaler(method, device=device)
    for name, run in runs.items():
        if isinstance(run, Upscaler):
            scale = run.scale if scale is None else scale
            if run.scale != scale:
                raise UserError(f'{name} upscales by {run.scale}, not by {scale}')
    scale = 2 if scale is None else scale
    if scale < 2:
        raise UserError(f'the scale must be at least 2, got {scale}')
    finished = [run for run in runs.values() if isinstance(run, dict)]
    multiple = _fitting_multiple(finished, scale, multiple or scale)

    def read(path: Path) -> GroundTruth:
        return read_gt(path, multiple, scale, value_range, bands, deep=deep)

    return (_compare(path, read, runs, scale, jpeg, value_range, on_tile) for path in paths)


def _images(gt: str | Path | Sequence[Path]) -> list[Path]:
    if not isinstance(gt, (str, Path)):
        return list(gt)
    gt = Path(gt)
    if not gt.is_dir():
        return [gt]
    paths = list_images(gt)
    if not paths:
        raise UserError(f'there are no images in {gt}')
    return paths


def _finished_results(folder: Path, paths: Sequence[Path]) -> dict[Path, Path]:
    """Map ground truths to results."""
    found = {gt: result for result, gt in pair_images(list_images(folder), paths).pairs}
    missing = [path for path in paths if path not in found]
    if missing:
        more = f' and {len(missing) - 1} more' if missing[1:] else ''
        raise UserError(f'{folder} has no result for {missing[0].name}{more}')
    return found


def _fitting_multiple(finished: Sequence[dict[Path, Path]], scale: int, multiple: int) -> int:
    """Find the number that sides were cropped to multiples of, by the sizes of the results."""
    # Images are upright only when they are decoded.
    sizes = [
        (result, gt, read_rgb(result).shape[:2], read_rgb(gt).shape[:2])
        for results in finished
        for gt, result in results.items()
    ]
    candidates = [number for number in (multiple, scale, 12) if number % scale == 0]
    for candidate in candidates:
        misfits = (x for x in sizes if x[2] != tuple(side - side % candidate for side in x[3]))
        misfit = next(misfits, None)
        if misfit is None:
            return candidate
    result, gt, (height, width), (gt_height, gt_width) = misfit
    raise UserError(
        f'{result} has {width}x{height} pixels, which is not the size of {gt}, '
        f'{gt_width}x{gt_height}, cropped to multiples of '
        + ' or '.join(map(str, sorted(set(candidates))))
    )


def _compare(
    path: Path,
    read: Callable[[Path], GroundTruth],
    runs: Mapping[str, Run],
    scale: int,
    jpeg: int | None,
    value_range: RangeOption,
    on_tile: Callable[[int, int], None],
) -> Comparison:
    truth = read(path)
    image = truth.image
    lq = image._replace(pixels=downsample(image.pixels, scale))
    gt = truth.to_255(image.pixels)
    if jpeg is not None:
        if gt.dtype != np.uint8 or gt.shape[2] != 3:
            raise UserError(f'{path}: only grey or RGB of 8 bits can be compressed as JPEG')
        lq = image._replace(pixels=compress_as_jpeg(lq.pixels, jpeg))
    results = {}
    for name, run in runs.items():
        if run is None:
            pixels = upsample(lq.pixels, scale)
        elif isinstance(run, Upscaler):
            options = dict(value_range=value_range, on_range=lambda _: None)
            pixels = run(lq, on_tile=on_tile, **options).pixels
        elif gt.dtype == np.uint8 and gt.shape[2] == 3:
            pixels = read_rgb(run[path])
        else:
            pixels = read(run[path]).image.pixels
        if pixels.shape != image.pixels.shape or pixels.dtype != image.pixels.dtype:
            raise UserError(
                f'{name}: {pixels.dtype} of {list(pixels.shape)} is no result for {path}, '
                f'{image.pixels.dtype} of {list(image.pixels.shape)}'
            )
        results[name] = truth.to_255(pixels)
    scores = {name: Score.of(result, gt, scale) for name, result in results.items()}
    return Comparison(path.stem, gt, results, scores, scale)


def comparison_table(scores: Mapping[str, Mapping[str, Score]]) -> str:
    """Format PSNR / SSIM of each image by each method, and their means.

    With several methods, the last column has the gain of the last method over the first, in dB.

    Args:
        scores: by image, then by method, with the same methods for each image.
    """
    methods = list(next(iter(scores.values())))
    mean = {method: Score.mean(one[method] for one in scores.values()) for method in methods}
    gain = ['gain'] if len(methods) > 1 else []
    rows = []
    for name, row in [*scores.items(), ('mean', mean)]:
        rows.append([name, *(str(row[method]) for method in methods)])
        if gain:
            rows[-1].append(f'{row[methods[-1]].psnr - row[methods[0]].psnr:+.2f} dB')
    return format_table(['image', *methods, *gain], rows)


def comparison_figure(
    comparison: Comparison, *, box: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Draw the ground truth with a box, and the box by each method, with PSNR and SSIM (Figure 5).

    Args:
        comparison: one of :func:`compare_methods`.
        box: (x, y, width, height) in pixels of the ground truth; by default
            :func:`largest_difference`.

    Returns:
        uint8 RGB, [H', W', 3].

    Raises:
        UserError: if the box reaches beyond the image.
    """
    _, gt, results, scores, scale = comparison
    height, width = gt.shape[:2]
    x, y, box_width, box_height = box or largest_difference(gt, results)
    if (
        min(x, y) < 0
        or min(box_width, box_height) < 1
        or x + box_width > width
        or y + box_height > height
    ):
        raise UserError(
            f'box {x},{y},{box_width},{box_height} reaches beyond the image of {width}x{height}'
        )
    best = max(score.psnr for score in scores.values())
    panels = [('ground truth', 'PSNR / SSIM', gt, False)]
    for name, result in results.items():
        psnr, ssim = scores[name]
        caption = f'{psnr:.2f} dB / {ssim:.4f}'
        panels.append((name, caption, result, len(results) > 1 and psnr == best))
    columns = len(panels) if len(panels) <= 3 else -(-len(panels) // 2)
    rows = -(-len(panels) // columns)
    cell = 2.6
    crop_height = cell * box_height / box_width
    left_height = max(3.0, rows * (crop_height + 0.75))
    left_width = min(7.0, max(2.8, left_height * width / height))
    figure = new_figure(left_width + columns * (cell + 0.15) + 0.3, left_height + 0.3, dpi=120)
    left, right = figure.subfigures(1, 2, width_ratios=[left_width, columns * (cell + 0.15)])
    axis = left.subplots()
    show(axis, draw_box(gt, (x, y, box_width, box_height)), interpolation='lanczos')
    axis.set_title(f'ground truth, {width}x{height}; x{scale}', fontsize=12)
    axes = right.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, caption, image, bold) in zip(axes, panels):
        show(axis, image[y : y + box_height, x : x + box_width], frame=BOX_COLOURS[0])
        weight = 'bold' if bold else 'normal'
        axis.set_title(name, fontsize=12, fontweight=weight)
        axis.set_xlabel(caption, fontsize=12, fontweight=weight)
    for axis in axes[len(panels) :]:
        axis.axis('off')
    return render(figure)


def largest_difference(
    gt: np.ndarray, results: Mapping[str, np.ndarray], side: int = 80
) -> tuple[int, int, int, int]:
    """Find the square (x, y, width, height) where methods differ most from one another.

    A single method is compared with the ground truth.

    Args:
        gt: uint8 RGB, [H, W, 3].
        results: by method, of the same size.
        side: of the square, in pixels; less in smaller images.
    """
    height, width = gt.shape[:2]
    side = min(side, height, width)
    stack = [image.astype(np.float32) for image in results.values()]
    difference = np.std(stack if len(stack) > 1 else [*stack, gt], axis=0).sum(-1)
    # Sums over all squares, by an integral image.
    sums = np.pad(difference.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    totals = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    y, x = np.unravel_index(totals.argmax(), totals.shape)
    return int(x), int(y), side, side
