"""Pictures of what the attention saw, and of methods side by side (Figures 1, 5 and 6)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.attention import Look, look
from csnln_mm.visualization.comparison import score

__all__ = [
    'Match',
    'attention_figure',
    'comparison_figure',
    'most_engaged',
    'matches_figure',
    'most_different_box',
]

POINT = '#00e5ff'  # told from photographs and from the colours of the maps
COLOURS = ('#ff3b30', '#ffcc00', '#34c759', '#ff2d95', '#5e9bff', '#ff9500', '#bf5af2', '#8aff80')


class Match(NamedTuple):
    """A candidate patch: its weight, and its square (x, y, side) in pixels of what is seen."""

    weight: float
    x: float
    y: float
    side: float


def attention_figure(
    upscaler: Upscaler,
    picture: ImageData,
    points: Sequence[tuple[int, int]],
    *,
    recurrence: int | None = None,
    stage: int = 1,
    window: int = 192,
) -> np.ndarray:
    """The picture with a point, its in-scale and its cross-scale map; a row per point (Figure 6).

    Args and errors: as of :func:`~.visualization_maps.look`.

    Returns:
        uint8 RGB, [H, W, 3].
    """
    looks = look(upscaler, picture, points, recurrence=recurrence, stage=stage, window=window)
    network = upscaler.network
    height, width = looks[0].seen.shape[:2]
    cell_width = 4.4 * min(1.0, (width / height) ** 0.5)
    cell_height = cell_width * height / width
    # Narrow pictures leave room for the captions.
    figure = Figure(
        figsize=(3 * max(cell_width, 3.3) + 1.2, len(looks) * (cell_height + 0.9) + 0.5),
        dpi=100,
        layout='constrained',
    )
    axes = figure.subplots(len(looks), 3, squeeze=False)
    for (left, middle, right), one in zip(axes, looks):
        x, y = one.point[0] + one.offset[0], one.point[1] + one.offset[1]
        _show(left, one.seen)
        _mark(left, one.point)
        left.set_title(f'pixel ({x}, {y})', fontsize=12)
        left.set_xlabel(_seen_text(one, picture), fontsize=10)
        _show_map(figure, middle, one, one.in_scale, 'in-scale attention', 'pixels')
        _show_map(figure, right, one, one.cross_scale, 'cross-scale attention', 'patches')
    which = network.num_recurrences if recurrence is None else recurrence
    title = f'Attention in recurrence {which} of {network.num_recurrences}'
    if len(network.cell.stages) > 1:
        title += f', stage {stage} of {len(network.cell.stages)}'
    figure.suptitle(title, fontsize=14)
    return _render(figure)


def most_engaged(one: Look, top: int) -> tuple[list[Match], int]:
    """The candidate patches with the largest weights, largest first.

    Left out: patches that reach beyond the border, where the network sees zeros, and those that
    overlap a stronger one by more than half a side in both directions.

    Args:
        one: with a cross-scale map.
        top: how many; fewer where there are not so many.

    Returns:
        The matches, and how many patches were left out that count more than the last of them.

    Raises:
        UserError: if the network has no cross-scale attention, or no patch fits into the picture.
    """
    if one.cross_scale is None:
        raise UserError('the network has no cross-scale attention')
    height, width = one.seen.shape[:2]
    weights = one.cross_scale.ravel()
    radius, block = one.patch_size // 2, one.scale / one.zoom
    side = block * one.patch_size
    matches: list[Match] = []
    left_out = 0
    for index in np.argsort(-weights, kind='stable'):
        if len(matches) == top:
            break
        row, column = divmod(int(index), one.cross_scale.shape[1])
        x, y = block * (column - radius), block * (row - radius)
        inside = x >= 0 and y >= 0 and x + side <= width and y + side <= height
        if inside and not any(max(abs(x - m.x), abs(y - m.y)) < side / 2 for m in matches):
            matches.append(Match(float(weights[index]), x, y, side))
        else:
            left_out += 1
    if not matches:
        raise UserError(
            f'no patch of {side:g}x{side:g} pixels fits into '
            f'{width}x{height} pixels; take a larger picture or window'
        )
    return matches, left_out


def matches_figure(
    upscaler: Upscaler,
    picture: ImageData,
    point: tuple[int, int],
    *,
    top: int = 6,
    recurrence: int | None = None,
    stage: int = 1,
    window: int = 192,
) -> np.ndarray:
    """The most engaged patches on the picture, and as a strip beside the target (Figure 1).

    Args:
        point: (x, y) of a pixel in the picture, the middle of the target patch.
        top: how many patches, 1 to 8.

        The others, and errors: as of :func:`~.visualization_maps.look`.

    Returns:
        uint8 RGB, [H, W, 3].
    """
    if not 1 <= top <= len(COLOURS):
        raise UserError(f'the number of patches must be from 1 to {len(COLOURS)}, got {top}')
    (one,) = look(upscaler, picture, [point], recurrence=recurrence, stage=stage, window=window)
    matches, left_out = most_engaged(one, top)
    height, width = one.seen.shape[:2]
    columns = max(6, len(matches) + 2)
    heights = [0.9 + 8.6 * min(1.2, height / width), 11 / columns + 0.9]
    figure = Figure(figsize=(11, sum(heights)), dpi=100, layout='constrained')
    upper, lower = figure.subfigures(2, 1, height_ratios=heights)
    axis = upper.subplots()
    _show(axis, one.seen)
    target = _target(one)
    for number, match in reversed(list(enumerate(matches, 1))):
        colour = COLOURS[number - 1]
        axis.add_patch(_square(match.x, match.y, match.side, colour))
        axis.annotate(
            str(number),
            (match.x + match.side / 2 - 0.5, match.y - 0.5),
            ha='center',
            va='bottom',
            fontsize=13,
            fontweight='bold',
            color=colour,
            path_effects=_outline(),
        )
    axis.add_patch(_square(*target, POINT))
    x, y = point
    network = upscaler.network
    which = network.num_recurrences if recurrence is None else recurrence
    upper.suptitle(
        f'Target around pixel ({x}, {y}) and the {len(matches)} patches that count most for it '
        f'(recurrence {which} of {network.num_recurrences})',
        fontsize=13,
    )
    text = f'together {100 * sum(m.weight for m in matches):.3g} % of the weight'
    if left_out:
        text += f'; not shown: {left_out:,} across the border or nearly the same as a stronger one'
    axis.set_xlabel(f'{text}\n{_seen_text(one, picture)}', fontsize=11)
    strip = lower.subplots(1, columns)
    enlargement = upscaler.scale
    crops = [
        ('target', 'input', one.seen, target, POINT),
        (
            'became',
            f'x{enlargement} result',
            one.enlarged,
            tuple(enlargement * value for value in target),
            POINT,
        ),
    ]
    crops += [
        (f'patch {i}', f'{100 * m.weight:.3g} %', one.seen, (m.x, m.y, m.side), COLOURS[i - 1])
        for i, m in enumerate(matches, 1)
    ]
    for axis, (title, caption, image, square, colour) in zip(strip, crops):
        _show(axis, _crop(image, *square), frame=colour)
        axis.set_title(title, fontsize=12)
        axis.set_xlabel(caption, fontsize=12)
    for axis in strip[len(crops) :]:
        axis.set_axis_off()
    return _render(figure)


def comparison_figure(
    truth: np.ndarray,
    results: dict[str, np.ndarray],
    *,
    scale: int,
    box: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """The ground truth with a box, and the box by each method with PSNR and SSIM (Figure 5).

    Args:
        truth: uint8 RGB, [H, W, 3].
        results: by the method's name, of the same size.
        scale: PSNR and SSIM are of the whole picture, on Y, without a border of so many pixels.
        box: (x, y, width, height) in pixels of the truth; by default
            :func:`most_different_box`.

    Returns:
        uint8 RGB, [H', W', 3].

    Raises:
        UserError: if the box reaches beyond the picture.
    """
    height, width = truth.shape[:2]
    x, y, box_width, box_height = box = box or most_different_box(truth, results)
    if (
        min(x, y) < 0
        or min(box_width, box_height) < 1
        or x + box_width > width
        or (y + box_height > height)
    ):
        raise UserError(
            f'box {x},{y},{box_width},{box_height} reaches beyond the picture of {width}x{height}'
        )
    scores = {name: score(truth, result, scale) for name, result in results.items()}
    best = max(one.psnr for one in scores.values())
    panels = [('ground truth', 'PSNR / SSIM', truth, False)]
    panels += [
        (name, str(scores[name]), result, len(results) > 1 and scores[name].psnr == best)
        for name, result in results.items()
    ]
    columns = len(panels) if len(panels) <= 3 else -(-len(panels) // 2)
    rows = -(-len(panels) // columns)
    cell = 2.6
    crop_height = cell * box_height / box_width
    left_height = max(3.0, rows * (crop_height + 0.75))
    left_width = min(7.0, max(2.8, left_height * width / height))
    figure = Figure(
        figsize=(left_width + columns * (cell + 0.15) + 0.3, left_height + 0.3),
        dpi=120,
        layout='constrained',
    )
    left, right = figure.subfigures(1, 2, width_ratios=[left_width, columns * (cell + 0.15)])
    axis = left.subplots()
    _show(axis, truth, interpolation='lanczos')
    axis.add_patch(_rectangle(x, y, box_width, box_height, COLOURS[0]))
    axis.set_title(f'ground truth, {width}x{height}; x{scale}', fontsize=12)
    axes = right.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, caption, image, bold) in zip(axes, panels):
        _show(axis, image[y : y + box_height, x : x + box_width], frame=COLOURS[0])
        weight = 'bold' if bold else 'normal'
        axis.set_title(name, fontsize=12, fontweight=weight)
        axis.set_xlabel(caption, fontsize=12, fontweight=weight)
    for axis in axes[len(panels) :]:
        axis.axis('off')
    return _render(figure)


def most_different_box(
    truth: np.ndarray, results: dict[str, np.ndarray], side: int = 80
) -> tuple[int, int, int, int]:
    """The square (x, y, width, height) in which the methods differ most from one another.

    With a single method, the one in which it errs most.
    """
    height, width = truth.shape[:2]
    side = min(side, height, width)
    stack = [image.astype(np.float32) for image in results.values()]
    difference = np.std(stack if len(stack) > 1 else [*stack, truth], axis=0).sum(-1)
    total = cv2.boxFilter(difference, -1, (side, side), normalize=False, anchor=(0, 0))
    total = total[: height - side + 1, : width - side + 1]
    y, x = np.unravel_index(total.argmax(), total.shape)
    return int(x), int(y), side, side


def _target(one: Look) -> tuple[float, float, float]:
    """The square (x, y, side) of the target patch in pixels of what is seen."""
    row, column = one.query
    radius = one.patch_size // 2
    return (column - radius) / one.zoom, (row - radius) / one.zoom, one.patch_size / one.zoom


def _crop(image: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """A square, grey where it reaches beyond the image."""
    left, top, size = int(round(x)), int(round(y)), max(1, int(round(side)))
    crop = np.full((size, size, 3), 128, np.uint8)
    height, width = image.shape[:2]
    rows, columns = (
        slice(max(0, top), min(height, top + size)),
        slice(max(0, left), min(width, left + size)),
    )
    crop[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[
        rows, columns
    ]
    return crop


def _show(
    axis: Any, image: np.ndarray, *, frame: str | None = None, interpolation: str = 'nearest'
) -> None:
    axis.imshow(image, interpolation=interpolation)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set(visible=frame is not None, color=frame, linewidth=3)


def _mark(axis: Any, point: tuple[int, int]) -> None:
    """A ring that leaves the pixel free, on any background."""
    for colour, width in (('black', 4), (POINT, 2)):
        axis.plot(
            *point,
            marker='o',
            markersize=13,
            markerfacecolor='none',
            markeredgecolor=colour,
            markeredgewidth=width,
        )


def _show_map(
    figure: Figure, axis: Any, one: Look, weights: np.ndarray | None, title: str, what: str
) -> None:
    axis.set_title(title, fontsize=12)
    if weights is None:
        axis.text(0.5, 0.5, 'the network has no\nsuch attention', ha='center', va='center')
        axis.axis('off')
        return
    height, width = one.seen.shape[:2]
    # A candidate covers the s x s block that it stands for; the last may reach beyond the map.
    block = one.scale if weights is one.cross_scale else 1
    extent = (
        -0.5,
        block * weights.shape[1] / one.zoom - 0.5,
        block * weights.shape[0] / one.zoom - 0.5,
        -0.5,
    )
    # As multiples of what each would have if all had the same. Patches across the border, which
    # often weigh many times as much, and single pixels must not leave all others black.
    relative = weights * weights.size
    margin = one.patch_size // 2 if weights is one.cross_scale else 0
    inner = relative[margin : weights.shape[0] - margin, margin : weights.shape[1] - margin]
    inner = inner if inner.size else relative
    low, high = inner.min(), np.quantile(inner, 0.998)
    if high - low < 1e-3:  # as good as even, and shown so
        low, high = low - 0.5, high + 0.5
    image = axis.imshow(
        relative,
        cmap='inferno',
        norm=PowerNorm(0.5 if high > 10 * low else 1.0, low, high),
        extent=extent,
        interpolation='nearest',
    )
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    _mark(axis, one.point)
    bar = figure.colorbar(image, ax=axis, shrink=0.9, pad=0.02, extend='max')
    bar.ax.tick_params(labelsize=9)
    bar.set_label('times the mean weight', fontsize=9)
    half = int(np.searchsorted(np.sort(weights.ravel())[::-1].cumsum(), 0.5)) + 1
    axis.set_xlabel(
        f'half of the weight on {half:,} of {weights.size:,} {what},\n'
        f'largest {relative.max():,.3g} times the mean',
        fontsize=10,
    )


def _seen_text(one: Look, picture: ImageData) -> str:
    height, width = one.seen.shape[:2]
    if (width, height) == picture.size:
        return f'the network saw all {width}x{height} pixels'
    return f'the network saw {width}x{height} of {picture.size[0]}x{picture.size[1]} pixels'


def _square(x: float, y: float, side: float, colour: str) -> Rectangle:
    return _rectangle(x, y, side, side, colour)


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> Rectangle:
    return Rectangle(
        (x - 0.5, y - 0.5),
        width,
        height,
        fill=False,
        edgecolor=colour,
        linewidth=2.2,
        path_effects=_outline(4.0),
    )


def _outline(width: float = 3.0) -> list:
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=width, foreground='black'), Normal()]


def _render(figure: Figure) -> np.ndarray:
    # The figure is only drawn: no display, and pyplot's global state stays out of it.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
