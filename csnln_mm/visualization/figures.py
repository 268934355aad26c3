"""Figures of what the attention attends to (Figures 1 and 6 of the paper)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.attention import AttentionMaps, extract_attention
from csnln_mm.visualization.drawing import BOX_COLOURS, draw_box, new_figure, outline, render, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ['Match', 'attention_figure', 'matches_figure', 'top_matches']

POINT = '#00e5ff'  # differs from photographs and from the colours of the maps


class Match(NamedTuple):
    """A candidate patch: its weight, and its square (x, y, side) in pixels of what is seen."""

    weight: float
    x: float
    y: float
    side: float


def attention_figure(
    upscaler: Upscaler,
    image: ImageData,
    points: Sequence[tuple[int, int]],
    *,
    recurrence: int | None = None,
    stage: int = 1,
    window: int = 192,
) -> np.ndarray:
    """The image with a point, its in-scale and its cross-scale map; a row per point (Figure 6).

    Args and errors: as of :func:`~csnln_mm.visualization.extract_attention`.

    Returns:
        uint8 RGB, [H, W, 3].
    """
    maps = extract_attention(
        upscaler, image, points, recurrence=recurrence, stage=stage, window=window
    )
    network = upscaler.network
    height, width = maps[0].input.shape[:2]
    cell_width = 4.4 * min(1.0, (width / height) ** 0.5)
    cell_height = cell_width * height / width
    # Narrow images leave room for the captions.
    figure = new_figure(3 * max(cell_width, 3.3) + 1.2, len(maps) * (cell_height + 0.9) + 0.5)
    axes = figure.subplots(len(maps), 3, squeeze=False)
    for (left, middle, right), one in zip(axes, maps):
        x, y = one.point[0] + one.offset[0], one.point[1] + one.offset[1]
        show(left, one.input)
        _mark(left, one.point)
        left.set_title(f'pixel ({x}, {y})', fontsize=12)
        left.set_xlabel(_input_text(one, image), fontsize=10)
        _draw_map(figure, middle, one, one.in_scale, 'in-scale attention', 'pixels')
        _draw_map(figure, right, one, one.cross_scale, 'cross-scale attention', 'patches')
    title = f'Attention in recurrence {maps[0].recurrence} of {network.num_recurrences}'
    if len(network.cell.stages) > 1:
        title += f', stage {stage} of {len(network.cell.stages)}'
    figure.suptitle(title, fontsize=14)
    return render(figure)


def top_matches(one: AttentionMaps, top: int) -> tuple[list[Match], int]:
    """The candidate patches with the largest weights, in descending order.

    Skipped: patches that reach beyond the border, where the network sees zeros, and those that
    overlap a stronger one by more than half a side in both directions.

    Args:
        one: with a cross-scale map.
        top: how many; fewer where there are not so many.

    Returns:
        The matches, and how many patches were skipped that count more than the last of them.

    Raises:
        UserError: if the network has no cross-scale attention, or no patch fits into the image.
    """
    if one.cross_scale is None:
        raise UserError('the network has no cross-scale attention')
    height, width = one.input.shape[:2]
    weights = one.cross_scale.ravel()
    radius, block = one.patch_size // 2, one.scale / one.map_scale
    side = block * one.patch_size
    matches: list[Match] = []
    skipped = 0
    for index in np.argsort(-weights, kind='stable'):
        if len(matches) == top:
            break
        row, column = divmod(int(index), one.cross_scale.shape[1])
        x, y = block * (column - radius), block * (row - radius)
        inside = x >= 0 and y >= 0 and x + side <= width and y + side <= height
        if inside and not any(max(abs(x - m.x), abs(y - m.y)) < side / 2 for m in matches):
            matches.append(Match(float(weights[index]), x, y, side))
        else:
            skipped += 1
    if not matches:
        raise UserError(
            f'no patch of {side:g}x{side:g} pixels fits into '
            f'{width}x{height} pixels; take a larger image or window'
        )
    return matches, skipped


def matches_figure(
    upscaler: Upscaler,
    image: ImageData,
    point: tuple[int, int],
    *,
    top: int = 6,
    recurrence: int | None = None,
    stage: int = 1,
    window: int = 192,
) -> np.ndarray:
    """The patches with the largest weights, on the image and beside the target (Figure 1).

    Args:
        point: (x, y) of a pixel in the image, the middle of the target patch.
        top: how many patches, 1 to 8.

        The others, and errors: as of :func:`~csnln_mm.visualization.extract_attention`.

    Returns:
        uint8 RGB, [H, W, 3].
    """
    if not 1 <= top <= len(BOX_COLOURS):
        raise UserError(f'the number of patches must be from 1 to {len(BOX_COLOURS)}, got {top}')
    (one,) = extract_attention(
        upscaler, image, [point], recurrence=recurrence, stage=stage, window=window
    )
    matches, skipped = top_matches(one, top)
    height, width = one.input.shape[:2]
    columns = max(6, len(matches) + 2)
    heights = [0.9 + 8.6 * min(1.2, height / width), 11 / columns + 0.9]
    figure = new_figure(11, sum(heights))
    upper, lower = figure.subfigures(2, 1, height_ratios=heights)
    axis = upper.subplots()
    show(axis, one.input)
    target = _target(one)
    for number, match in reversed(list(enumerate(matches, 1))):
        colour = BOX_COLOURS[number - 1]
        draw_box(axis, match.x, match.y, match.side, match.side, colour)
        axis.annotate(
            str(number),
            (match.x + match.side / 2 - 0.5, match.y - 0.5),
            ha='center',
            va='bottom',
            fontsize=13,
            fontweight='bold',
            color=colour,
            path_effects=outline(),
        )
    draw_box(axis, *target, target[-1], POINT)
    x, y = point
    network = upscaler.network
    upper.suptitle(
        f'Target around pixel ({x}, {y}) and the {len(matches)} patches that count most for it '
        f'(recurrence {one.recurrence} of {network.num_recurrences})',
        fontsize=13,
    )
    text = f'together {100 * sum(m.weight for m in matches):.3g} % of the weight'
    if skipped:
        text += f'; not shown: {skipped:,} across the border or nearly the same as a stronger one'
    axis.set_xlabel(f'{text}\n{_input_text(one, image)}', fontsize=11)
    strip = lower.subplots(1, columns)
    factor = upscaler.scale
    crops = [
        ('target', 'input', one.input, target, POINT),
        (
            'became',
            f'x{factor} result',
            one.output,
            tuple(factor * value for value in target),
            POINT,
        ),
    ]
    crops += [
        (f'patch {i}', f'{100 * m.weight:.3g} %', one.input, (m.x, m.y, m.side), BOX_COLOURS[i - 1])
        for i, m in enumerate(matches, 1)
    ]
    for axis, (title, caption, image, square, colour) in zip(strip, crops):
        show(axis, _crop(image, *square), frame=colour)
        axis.set_title(title, fontsize=12)
        axis.set_xlabel(caption, fontsize=12)
    for axis in strip[len(crops) :]:
        axis.set_axis_off()
    return render(figure)


def _target(one: AttentionMaps) -> tuple[float, float, float]:
    """The square (x, y, side) of the target patch in pixels of what is seen."""
    row, column = one.query
    radius = one.patch_size // 2
    return (
        (column - radius) / one.map_scale,
        (row - radius) / one.map_scale,
        one.patch_size / one.map_scale,
    )


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


def _draw_map(
    figure: 'Figure',
    axis: Any,
    one: AttentionMaps,
    weights: np.ndarray | None,
    title: str,
    what: str,
) -> None:
    from matplotlib.colors import PowerNorm

    axis.set_title(title, fontsize=12)
    if weights is None:
        axis.text(0.5, 0.5, 'the network has no\nsuch attention', ha='center', va='center')
        axis.axis('off')
        return
    height, width = one.input.shape[:2]
    # A candidate covers the s x s block that it stands for; the last may reach beyond the map.
    block = one.scale if weights is one.cross_scale else 1
    extent = (
        -0.5,
        block * weights.shape[1] / one.map_scale - 0.5,
        block * weights.shape[0] / one.map_scale - 0.5,
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


def _input_text(one: AttentionMaps, image: ImageData) -> str:
    height, width = one.input.shape[:2]
    if (width, height) == image.size:
        return f'the network saw all {width}x{height} pixels'
    return f'the network saw {width}x{height} of {image.size[0]}x{image.size[1]} pixels'
