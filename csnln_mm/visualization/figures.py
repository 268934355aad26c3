"""Figures of what the attention attends to (Figures 1 and 6 of the paper), and of attribution."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.attention import AttentionMaps, attends, extract_attention
from csnln_mm.visualization.attribution import PixelAttribution, extract_attribution
from csnln_mm.visualization.drawing import BOX_COLOURS, draw_box, new_figure, outline, render, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    Networks with one kind of attention have no column of the other.

    Args and errors: as of :func:`~csnln_mm.visualization.extract_attention`.

    Returns:
        uint8 RGB, [H, W, 3].
    """
    maps = extract_attention(
        upscaler, image, points, recurrence=recurrence, stage=stage, window=window
    )
    kinds = _kinds(maps[0])
    figure, axes = _grid(maps[0].input, len(maps), 1 + len(kinds))
    for row, one in zip(axes, maps):
        _show_input(row[0], one, image)
        for axis, kind in zip(row[1:], kinds):
            _draw_attention(figure, axis, one, kind)
    figure.suptitle(f'Attention in {_recurrence(upscaler, maps[0], stage)}', fontsize=14)
    return render(figure)


def attribution_figure(
    upscaler: Upscaler,
    image: ImageData,
    points: Sequence[tuple[int, int]],
    *,
    detail: int = 16,
    steps: int = 50,
    recurrence: int | None = None,
    stage: int = 1,
    window: int = 96,
    on_step: Callable[[int, int, int], None] = lambda number, done, total: None,
) -> np.ndarray:
    """The image with a detail, its local attribution, and the attention maps of its pixel.

    A row per point. Networks without attention, or of others, have the attribution alone.

    Args:
        upscaler: with ``tile=0``.
        points: (x, y) of pixels in the image.
        detail, steps: as of :func:`~csnln_mm.visualization.extract_attribution`.
        recurrence, stage: as of :func:`~csnln_mm.visualization.extract_attention`.
        window: of both.
        on_step: called with the number of the point, from 1, and (done, total) of its steps.

        Errors: as of both.

    Returns:
        uint8 RGB, [H, W, 3].
    """
    maps: list[AttentionMaps] | None = None
    if attends(upscaler.network):
        maps = extract_attention(
            upscaler, image, points, recurrence=recurrence, stage=stage, window=window
        )
    found = [
        extract_attribution(
            upscaler,
            image,
            point,
            detail=detail,
            steps=steps,
            window=window,
            on_step=lambda done, total, number=number: on_step(number, done, total),
        )
        for number, point in enumerate(points, 1)
    ]
    kinds = _kinds(maps[0]) if maps else []
    figure, axes = _grid(found[0].input, len(found), 2 + len(kinds))
    for i, (row, one) in enumerate(zip(axes, found)):
        _show_input(row[0], one, image)
        draw_box(row[0], *(value / upscaler.scale for value in one.box), POINT)
        _draw_attribution(figure, row[1], one)
        for axis, kind in zip(row[2:], kinds):
            _draw_attention(figure, axis, maps[i], kind)
    title = f'What a detail of {detail}x{detail} pixels of the x{upscaler.scale} result depends on'
    if maps:
        title += f'; attention of the pixel in {_recurrence(upscaler, maps[0], stage)}'
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
    target = target_patch(one)
    draw_box(axis, *target, target[-1], POINT)
    x, y = point
    upper.suptitle(
        f'Target around pixel ({x}, {y}) and the {len(matches)} patches that count most for it '
        f'(recurrence {one.recurrence} of {upscaler.network.num_recurrences})',
        fontsize=13,
    )
    text = f'together {100 * sum(m.weight for m in matches):.3g} % of the weight'
    if skipped:
        text += f'; not shown: {skipped:,} across the border or nearly the same as a stronger one'
    axis.set_xlabel(f'{text}\n{_input_text(one, image)}', fontsize=11)
    strip = lower.subplots(1, columns)
    texts = [('target', 'input'), ('became', f'x{upscaler.scale} result')]
    texts += [(f'patch {i}', f'{100 * m.weight:.3g} %') for i, m in enumerate(matches, 1)]
    crops = crop_matches(one, matches, upscaler.scale)
    for axis, (crop, colour), (title, caption) in zip(strip, crops, texts):
        show(axis, crop, frame=colour)
        axis.set_title(title, fontsize=12)
        axis.set_xlabel(caption, fontsize=12)
    for axis in strip[len(crops) :]:
        axis.set_axis_off()
    return render(figure)


def crop_matches(
    one: AttentionMaps, matches: Sequence[Match], scale: int
) -> list[tuple[np.ndarray, str]]:
    """The target patch, what it became at ``scale``, and the patches, each with its colour."""
    target = target_patch(one)
    squares = [
        (one.input, target, POINT),
        (one.output, tuple(scale * value for value in target), POINT),
        *((one.input, match[1:], colour) for match, colour in zip(matches, BOX_COLOURS)),
    ]
    return [(_crop_patch(image, *square), colour) for image, square, colour in squares]


def target_patch(one: AttentionMaps) -> tuple[float, float, float]:
    """The square (x, y, side) of the target patch in pixels of what is seen."""
    row, column = one.query
    radius = one.patch_size // 2
    return (
        (column - radius) / one.map_scale,
        (row - radius) / one.map_scale,
        one.patch_size / one.map_scale,
    )


def _crop_patch(image: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """A square, grey where it reaches beyond the image."""
    size = max(1, round(side))
    left, top = round(x) + size, round(y) + size
    padded = np.pad(image, ((size, size), (size, size), (0, 0)), constant_values=128)
    return padded[top : top + size, left : left + size]


def _grid(input: np.ndarray, rows: int, columns: int) -> tuple['Figure', np.ndarray]:
    """A figure with axes for so many images of this size."""
    height, width = input.shape[:2]
    cell_width = 4.4 * min(1.0, (width / height) ** 0.5)
    cell_height = cell_width * height / width
    # Narrow images leave room for the captions.
    figure = new_figure(columns * max(cell_width, 3.3) + 1.2, rows * (cell_height + 0.9) + 0.5)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _show_input(axis: Any, one: AttentionMaps | PixelAttribution, image: ImageData) -> None:
    x, y = one.point[0] + one.offset[0], one.point[1] + one.offset[1]
    show(axis, one.input)
    if isinstance(one, AttentionMaps):
        _mark(axis, one.point)
    axis.set_title(f'pixel ({x}, {y})', fontsize=12)
    axis.set_xlabel(_input_text(one, image), fontsize=10)


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


def _kinds(one: AttentionMaps) -> list[str]:
    """The kinds of attention that the network has, as the figures call them."""
    weights = {'in-scale': one.in_scale, 'cross-scale': one.cross_scale}
    return [kind for kind, value in weights.items() if value is not None]


def _draw_attention(figure: 'Figure', axis: Any, one: AttentionMaps, kind: str) -> None:
    weights = one.cross_scale if kind == 'cross-scale' else one.in_scale
    axis.set_title(f'{kind} attention', fontsize=12)
    block, margin = block_and_margin(one, weights)
    places = 'patches' if kind == 'cross-scale' else 'pixels'
    _draw_map(figure, axis, one, weights, 'weight', places, block=block, margin=margin)
    _mark(axis, one.point)


def _draw_attribution(figure: 'Figure', axis: Any, one: PixelAttribution) -> None:
    attribution = one.attribution
    axis.set_title(f'local attribution, DI {attribution.diffusion_index:.2f}', fontsize=12)
    weights = attribution_weights(one)
    if not weights.any():
        axis.text(0.5, 0.5, 'the detail depends on\nno pixel', ha='center', va='center')
        axis.axis('off')
        return
    _draw_map(figure, axis, one, weights, 'attribution', 'pixels')
    axis.set_xlabel(f'{axis.get_xlabel()}; error {100 * attribution.error:.2g} %', fontsize=10)


def _draw_map(
    figure: 'Figure',
    axis: Any,
    one: AttentionMaps | PixelAttribution,
    weights: np.ndarray,
    quantity: str,
    places: str,
    *,
    block: float = 1.0,
    margin: int = 0,
) -> None:
    """Weights that add up to 1, as multiples of what each would have if all had the same.

    ``block`` is the side of one in pixels of the input; the last may reach beyond it. The range
    of colours is without a border of ``margin``.
    """
    from matplotlib.colors import PowerNorm

    height, width = one.input.shape[:2]
    extent = (-0.5, block * weights.shape[1] - 0.5, block * weights.shape[0] - 0.5, -0.5)
    relative, low, high = relative_weights(weights, margin)
    image = axis.imshow(
        relative,
        cmap='inferno',
        norm=PowerNorm(gamma(low, high), low, high),
        extent=extent,
        interpolation='nearest',
    )
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    bar = figure.colorbar(image, ax=axis, shrink=0.9, pad=0.02, extend='max')
    bar.ax.tick_params(labelsize=9)
    bar.set_label(f'times the mean {quantity}', fontsize=9)
    text = concentration(weights, places, quantity)
    axis.set_xlabel(text.replace(', largest', ',\nlargest'), fontsize=10)


def relative_weights(weights: np.ndarray, margin: int = 0) -> tuple[np.ndarray, float, float]:
    """A map as multiples of what each would have if all had the same, and the range to show.

    The range is without a border of ``margin``, and single places must not leave all others black.
    """
    relative = weights * weights.size
    inner = relative[margin : weights.shape[0] - margin, margin : weights.shape[1] - margin]
    inner = inner if inner.size else relative
    low, high = float(inner.min()), float(np.quantile(inner, 0.998))
    if high - low < 1e-3:  # as good as even, and shown so
        low, high = low - 0.5, high + 0.5
    return relative, low, high


def gamma(low: float, high: float) -> float:
    """The exponent that maps of a wide range are shown with."""
    return 0.5 if high > 10 * low else 1.0


def block_and_margin(one: AttentionMaps, weights: np.ndarray) -> tuple[float, int]:
    """Side of what a weight stands for, in pixels of ``one.input``; border for the range to show.

    A candidate of the cross-scale map stands for an s x s block. Patches across the border often
    weigh many times as much, and must not leave all others black.
    """
    if weights is one.cross_scale:
        return one.scale / one.map_scale, one.patch_size // 2
    return 1 / one.map_scale, 0


def attribution_weights(one: PixelAttribution) -> np.ndarray:
    """The magnitudes of an attribution as parts of their sum, [h, w]; zeros if all are zero."""
    magnitudes = one.attribution.map.abs().cpu().numpy()
    return magnitudes / (magnitudes.sum() or 1)


def concentration(weights: np.ndarray, what: str, quantity: str = 'weight') -> str:
    """How a map is concentrated, in words.

    Args:
        weights: sum 1.
        what: the plural of what has the weights.
        quantity: what is shared out.
    """
    half = int(np.searchsorted(np.sort(weights.ravel())[::-1].cumsum(), 0.5)) + 1
    largest = weights.max() * weights.size
    return (
        f'half of the {quantity} on {half:,} of {weights.size:,} {what}, '
        f'largest {largest:,.3g} times the mean'
    )


def _recurrence(upscaler: Upscaler, one: AttentionMaps, stage: int) -> str:
    text = f'recurrence {one.recurrence} of {upscaler.network.num_recurrences}'
    stages = len(upscaler.network.cell.attentions())
    return f'{text}, stage {stage} of {stages}' if stages > 1 else text


def _input_text(one: AttentionMaps | PixelAttribution, image: ImageData) -> str:
    height, width = one.input.shape[:2]
    if (width, height) == image.size:
        return f'the network saw all {width}x{height} pixels'
    return f'the network saw {width}x{height} of {image.size[0]}x{image.size[1]} pixels'
