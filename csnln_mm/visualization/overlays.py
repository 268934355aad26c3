"""What an attention attends to, drawn on the image itself: quick, without axes and captions."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from csnln_mm.visualization.attention import AttentionMaps
from csnln_mm.visualization.attribution import PixelAttribution
from csnln_mm.visualization.drawing import BOX_COLOURS
from csnln_mm.visualization.figures import (
    POINT,
    Match,
    attribution_weights,
    block_and_margin,
    crop_matches,
    gamma,
    relative_weights,
    target_patch,
)


class Crop(NamedTuple):
    """A detail, uint8 RGB, [h, w, 3]; what it is; and the colour of its box, '#rrggbb' or ''."""

    pixels: np.ndarray
    caption: str
    colour: str = ''


def zoom(image: np.ndarray, factor: int) -> np.ndarray:
    """Pixels as squares: [H, W, 3] -> [factor H, factor W, 3]."""
    return image.repeat(factor, 0).repeat(factor, 1)


def draw_matches(one: AttentionMaps, matches: Sequence[Match], *, factor: int = 6) -> np.ndarray:
    """The input with the target and the patches that count most for it, numbered from 1.

    Args:
        one: with a cross-scale map.
        matches: of :func:`~csnln_mm.visualization.figures.top_matches`, at most 8.
        factor: magnification.

    Returns:
        uint8 RGB, [factor h, factor w, 3].
    """
    canvas = zoom(one.input, factor)
    for number, match in reversed(list(enumerate(matches, 1))):
        colour = _rgb(BOX_COLOURS[number - 1])
        _box(canvas, match.x, match.y, match.side, match.side, colour, factor)
        size = max(0.5, factor / 8)
        # Above the patch, or below it where there is no room.
        bottom = factor * match.y - 6
        if bottom < 24 * size:
            bottom = factor * (match.y + match.side) + 6 + 22 * size
        at = round(factor * match.x), round(bottom)
        for shade, thickness in ((0, 0, 0), 6), (colour, 2):
            cv2.putText(
                canvas, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, size, shade, thickness,
                cv2.LINE_AA,
            )  # fmt: skip
    x, y, side = target_patch(one)
    _box(canvas, x, y, side, side, _rgb(POINT), factor)
    return canvas


def match_crops(one: AttentionMaps, matches: Sequence[Match], scale: int) -> list[Crop]:
    """The target patch, what it became, and the patches with their shares of the weight.

    Args:
        one: with a cross-scale map.
        matches: as of :func:`draw_matches`.
        scale: S of the network.
    """
    captions = ['target', 'became']
    captions += [f'{i}: {100 * match.weight:.3g} %' for i, match in enumerate(matches, 1)]
    crops = crop_matches(one, matches, scale)
    return [Crop(crop, caption, colour) for (crop, colour), caption in zip(crops, captions)]


def draw_map(one: AttentionMaps, weights: np.ndarray, *, factor: int = 6) -> np.ndarray:
    """The weights over the input, from black (least) to white (most), with a ring at the pixel.

    Args:
        one: the attention of a pixel.
        weights: ``one.in_scale`` or ``one.cross_scale``.
        factor: magnification.

    Returns:
        uint8 RGB, [factor h, factor w, 3].
    """
    canvas = _colour(weights, one.input, factor, *block_and_margin(one, weights))
    centre = [round(factor * (at + 0.5)) for at in one.point]
    for colour, thickness in ((0, 0, 0), 4), (_rgb(POINT), 2):
        cv2.circle(canvas, centre, 2 * factor, colour, thickness, cv2.LINE_AA)
    return canvas


def draw_attribution(one: PixelAttribution, scale: int, *, factor: int = 6) -> np.ndarray:
    """The magnitude of a local attribution on the dimmed input, with the detail that it is of.

    Args:
        one: the attribution of a detail.
        scale: S of the network.
        factor: magnification.

    Returns:
        uint8 RGB, [factor h, factor w, 3].
    """
    canvas = _colour(attribution_weights(one), one.input, factor, 1, 0)
    # Few pixels count: the image behind them, dark and grey, tells where they are.
    grey = zoom(one.input, factor).mean(-1, keepdims=True) * 0.4
    canvas = np.maximum(canvas, grey.astype(np.uint8))
    _box(canvas, *(value / scale for value in one.box), _rgb(POINT), factor)
    return canvas


def _colour(
    weights: np.ndarray, input: np.ndarray, factor: int, block: float, margin: int
) -> np.ndarray:
    """The map of an input in colours; a weight covers ``block`` pixels of it in each direction."""
    height, width = input.shape[:2]
    relative, low, high = relative_weights(weights, margin)
    level = np.clip((relative - low) / (high - low), 0, 1) ** gamma(low, high)
    colours = cv2.applyColorMap((255 * level).round().astype(np.uint8), cv2.COLORMAP_INFERNO)
    size = [round(factor * block * side) for side in weights.shape[::-1]]
    # The last block may reach beyond the input.
    canvas = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(canvas[: factor * height, : factor * width, ::-1])


def error_map(image: np.ndarray, gt: np.ndarray, *, gain: int = 8) -> np.ndarray:
    """The largest absolute difference over the channels, ``gain`` times, as grey.

    Args:
        image: uint8 RGB, [H, W, 3].
        gt: of the same size.
        gain: what differs by 255 / gain or more is white.

    Returns:
        uint8, [H, W, 3].
    """
    error = np.abs(image.astype(np.int16) - gt).max(-1)
    return np.stack([np.minimum(gain * error, 255).astype(np.uint8)] * 3, -1)


def frame_box(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The image with a box (x, y, width, height) outlined."""
    canvas = image.copy()
    _box(canvas, *box, _rgb(BOX_COLOURS[0]), 1)
    return canvas


def _box(
    canvas: np.ndarray,
    x: float,
    y: float,
    width: float,
    height: float,
    colour: tuple[int, int, int],
    factor: int,
) -> None:
    corners = [
        (round(factor * x), round(factor * y)),
        (round(factor * (x + width)) - 1, round(factor * (y + height)) - 1),
    ]
    for shade, thickness in ((0, 0, 0), 4), (colour, 2):
        cv2.rectangle(canvas, *corners, shade, thickness)


def _rgb(colour: str) -> tuple[int, int, int]:
    """'#rrggbb' as numbers."""
    return tuple(bytes.fromhex(colour[1:]))
