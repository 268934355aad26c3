"""Draw figures of attention (Figures 1 and 6 of the paper) and of attribution."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.attention import AttentionMaps, attends, extract_attention
from csnln_mm.visualization.attribution import PixelAttribution, extract_attribution
from csnln_mm.visualization.drawing import new_figure, render, show
from csnln_mm.visualization.maps import (
    BOX_COLOURS,
    attribution_weights,
    block_and_margin,
    concentration,
    match_crops,
    relative_weights,
    shares,
    top_matches,
)
from csnln_mm.visualization.overlays import (
    draw_attribution,
    draw_detail,
    draw_map,
    draw_matches,
    draw_point,
    zoom_factor,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Longer side of drawings on an image, in pixels: the figures show less detail.
_CANVAS = 1000


def attention_figure(
    upscaler: Upscaler, image: ImageData, points: Sequence[tuple[int, int]], **options: Any
) -> np.ndarray:
    """Draw the in-scale and the cross-scale map of chosen pixels, a row per pixel (Figure 6).

    A network with one kind of attention has no column for the other.

    Args:
        upscaler, image, points: as for :func:`~csnln_mm.visualization.extract_attention`.
        **options: its ``recurrence``, ``stage`` and ``window``.

    Returns:
        uint8 RGB, [H, W, 3].

    Raises:
        UserError: for the reasons of :func:`~csnln_mm.visualization.extract_attention`.
    """
    maps = extract_attention(upscaler, image, points, **options)
    kinds = _kinds(maps[0])
    figure, axes = _grid(maps[0].input, len(maps), 1 + len(kinds))
    for row, one in zip(axes, maps):
        _show_input(row[0], one, image, draw_point(one, factor=_factor(one)))
        for axis, kind in zip(row[1:], kinds):
            _show_attention(figure, axis, one, kind)
    figure.suptitle(f'Attention in {_recurrence(upscaler, maps[0], **options)}', fontsize=14)
    return render(figure)


def attribution_figure(
    upscaler: Upscaler,
    image: ImageData,
    points: Sequence[tuple[int, int]],
    *,
    detail: int = 16,
    steps: int = 50,
    window: int = 96,
    on_step: Callable[[int, int, int], None] = lambda number, done, total: None,
    **options: Any,
) -> np.ndarray:
    """Draw the attribution of details, and the attention of their middle, a row per pixel.

    Networks without attention, also of other packages, have no columns for it.

    Args:
        upscaler, image, points: as for :func:`~csnln_mm.visualization.extract_attention`.
        detail, steps, window: as for :func:`~csnln_mm.visualization.extract_attribution`.
        on_step: called with the number of the point, from 1, and (done, total) of its steps.
        **options: ``recurrence`` and ``stage`` of the attention.

    Returns:
        uint8 RGB, [H, W, 3].

    Raises:
        UserError: for the reasons of :func:`~csnln_mm.visualization.extract_attention` and of
            :func:`~csnln_mm.visualization.extract_attribution`.
    """
    maps: list[AttentionMaps] | None = None
    if attends(upscaler.network):
        maps = extract_attention(upscaler, image, points, window=window, **options)
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
        canvas = draw_detail(one, upscaler.scale, factor=_factor(one))
        _show_input(row[0], one, image, canvas)
        _show_attribution(figure, row[1], one, upscaler.scale)
        for axis, kind in zip(row[2:], kinds):
            _show_attention(figure, axis, maps[i], kind)
    title = f'What a detail of {detail}x{detail} pixels of the x{upscaler.scale} result depends on'
    if maps:
        title += f'; attention of the pixel in {_recurrence(upscaler, maps[0], **options)}'
    figure.suptitle(title, fontsize=14)
    return render(figure)


def matches_figure(
    upscaler: Upscaler, image: ImageData, point: tuple[int, int], *, top: int = 6, **options: Any
) -> np.ndarray:
    """Draw the patches with the largest weights on the image and beside the target (Figure 1).

    Args:
        upscaler, image: as for :func:`~csnln_mm.visualization.extract_attention`.
        point: (x, y) of the middle of the target patch in the image.
        top: number of patches, 1 to 8.
        **options: ``recurrence``, ``stage`` and ``window`` of ``extract_attention``.

    Returns:
        uint8 RGB, [H, W, 3].

    Raises:
        UserError: if ``top`` is out of range, the network has no cross-scale attention, no patch
            fits into the image, or for the reasons of ``extract_attention``.
    """
    if not 1 <= top <= len(BOX_COLOURS):
        raise UserError(f'the number of patches must be from 1 to {len(BOX_COLOURS)}, got {top}')
    (one,) = extract_attention(upscaler, image, [point], **options)
    matches, skipped = top_matches(one, top)
    height, width = one.input.shape[:2]
    columns = max(6, len(matches) + 2)
    heights = [0.9 + 8.6 * min(1.2, height / width), 11 / columns + 0.9]
    figure = new_figure(11, sum(heights))
    upper, lower = figure.subfigures(2, 1, height_ratios=heights)
    axis = upper.subplots()
    show(axis, draw_matches(one, matches, factor=_factor(one)), interpolation='antialiased')
    x, y = point
    upper.suptitle(
        f'Target around pixel ({x}, {y}) and the {len(matches)} patches that count most for it '
        f'(recurrence {one.recurrence} of {upscaler.network.num_recurrences})',
        fontsize=13,
    )
    text = f'together {shares([sum(match.weight for match in matches)])[0]} of the weight'
    if skipped:
        text += f'; not shown: {skipped:,} across the border or nearly the same as a stronger one'
    axis.set_xlabel(f'{text}\n{_input_text(one, image)}', fontsize=11)
    strip = lower.subplots(1, columns)
    crops = match_crops(one, matches, upscaler.scale)
    for axis, crop in zip(strip, crops):
        show(axis, crop.pixels, frame=crop.colour)
        axis.set_title(crop.title, fontsize=12)
        axis.set_xlabel(crop.caption, fontsize=12)
    for axis in strip[len(crops) :]:
        axis.set_axis_off()
    return render(figure)


def _factor(one: AttentionMaps | PixelAttribution) -> int:
    return zoom_factor(one.input, _CANVAS)


def _grid(lq: np.ndarray, rows: int, columns: int) -> tuple['Figure', np.ndarray]:
    """Make a figure with axes for a grid of images of this size."""
    height, width = lq.shape[:2]
    cell_width = 4.4 * min(1.0, (width / height) ** 0.5)
    cell_height = cell_width * height / width
    # The captions need some width, even if images are narrow.
    figure = new_figure(columns * max(cell_width, 3.3) + 1.2, rows * (cell_height + 0.9) + 0.5)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _show_input(
    axis: Any, one: AttentionMaps | PixelAttribution, image: ImageData, canvas: np.ndarray
) -> None:
    x, y = one.point[0] + one.offset[0], one.point[1] + one.offset[1]
    show(axis, canvas, interpolation='antialiased')
    axis.set_title(f'pixel ({x}, {y})', fontsize=12)
    axis.set_xlabel(_input_text(one, image), fontsize=10)


def _kinds(one: AttentionMaps) -> list[str]:
    """The figures' names of the kinds of attention that the network has."""
    weights = {'in-scale': one.in_scale, 'cross-scale': one.cross_scale}
    return [kind for kind, value in weights.items() if value is not None]


def _show_attention(figure: 'Figure', axis: Any, one: AttentionMaps, kind: str) -> None:
    weights = one.cross_scale if kind == 'cross-scale' else one.in_scale
    show(axis, draw_map(one, weights, factor=_factor(one)), interpolation='antialiased')
    axis.set_title(f'{kind} attention', fontsize=12)
    places = 'patches' if kind == 'cross-scale' else 'pixels'
    _explain(figure, axis, weights, 'weight', places, block_and_margin(one, weights)[1])


def _show_attribution(figure: 'Figure', axis: Any, one: PixelAttribution, scale: int) -> None:
    attribution = one.attribution
    axis.set_title(f'local attribution, DI {attribution.diffusion_index:.2f}', fontsize=12)
    weights = attribution_weights(one)
    if not weights.any():
        axis.text(0.5, 0.5, 'the detail depends on\nno pixel', ha='center', va='center')
        axis.axis('off')
        return
    show(axis, draw_attribution(one, scale, factor=_factor(one)), interpolation='antialiased')
    _explain(figure, axis, weights, 'attribution', 'pixels')
    axis.set_xlabel(f'{axis.get_xlabel()}; error {100 * attribution.error:.2g} %', fontsize=10)


def _explain(
    figure: 'Figure', axis: Any, weights: np.ndarray, quantity: str, places: str, margin: int = 0
) -> None:
    """Add the scale of the colours to a map, and say how concentrated it is."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm

    _, (low, high, gamma) = relative_weights(weights, margin)
    colours = ScalarMappable(PowerNorm(gamma, low, high), 'inferno')
    # As high as the map, whose shape the layout does not know.
    bar = figure.colorbar(colours, cax=axis.inset_axes((1.02, 0, 0.05, 1)), extend='max')
    bar.ax.tick_params(labelsize=9)
    bar.set_label(f'times the mean {quantity}', fontsize=9)
    text = concentration(weights, places, quantity)
    axis.set_xlabel(text.replace(', largest', ',\nlargest'), fontsize=10)


def _recurrence(upscaler: Upscaler, one: AttentionMaps, stage: int = 1, **_: Any) -> str:
    text = f'recurrence {one.recurrence} of {upscaler.network.num_recurrences}'
    stages = len(upscaler.network.cell.attentions())
    return f'{text}, stage {stage} of {stages}' if stages > 1 else text


def _input_text(one: AttentionMaps | PixelAttribution, image: ImageData) -> str:
    height, width = one.input.shape[:2]
    if (width, height) == image.size:
        return f'the network saw all {width}x{height} pixels'
    return f'the network saw {width}x{height} of {image.size[0]}x{image.size[1]} pixels'
