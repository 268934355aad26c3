"""Draw attention and attribution on the image, for figures and the page."""

from collections.abc import Sequence

import cv2
import numpy as np

from csnln_mm.visualization.attention import AttentionMaps
from csnln_mm.visualization.attribution import PixelAttribution
from csnln_mm.visualization.maps import (
    BOX_COLOURS,
    POINT_COLOUR,
    Match,
    attribution_weights,
    block_and_margin,
    relative_weights,
    target_patch,
)

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def zoom(image: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel: [H, W, 3] -> [factor H, factor W, 3]."""
    return image.repeat(factor, 0).repeat(factor, 1)


def zoom_factor(image: np.ndarray, side: int) -> int:
    """The largest factor that makes an image's longer side at most ``side``; at least 1."""
    return max(1, side // max(image.shape[:2]))


def draw_matches(one: AttentionMaps, matches: Sequence[Match], *, factor: int = 6) -> np.ndarray:
    """Outline the target and its best matches, numbered from 1.

    Args:
        one: with a cross-scale map.
        matches: of :func:`~csnln_mm.visualization.maps.top_matches`, at most 8.
        factor: magnification.

    Returns:
        uint8 RGB, [factor h, factor w, 3].
    """
    canvas = zoom(one.input, factor)
    target = _scaled(factor, *target_patch(one))
    boxes = [_scaled(factor, *match[1:]) for match in matches]
    for box, colour in reversed(list(zip([*boxes, target], [*BOX_COLOURS[: len(boxes)], '']))):
        _outline(canvas, box, colour or POINT_COLOUR)
    taken = [target, *boxes]
    for number, (box, colour) in enumerate(zip(boxes, BOX_COLOURS), 1):
        taken.append(_label(canvas, str(number), box, taken, colour))
    return canvas


def draw_point(one: AttentionMaps, *, factor: int = 6) -> np.ndarray:
    """Mark the pixel on the input by a ring: uint8 RGB, [factor h, factor w, 3]."""
    return _ring(zoom(one.input, factor), one.point, factor)


def draw_map(one: AttentionMaps, weights: np.ndarray, *, factor: int = 6) -> np.ndarray:
    """Draw weights from black (least) to white (most), with a ring at the pixel.

    Args:
        one: the attention of a pixel.
        weights: ``one.in_scale`` or ``one.cross_scale``.
        factor: magnification.

    Returns:
        uint8 RGB, [factor h, factor w, 3].
    """
    canvas = _colour(weights, one.input, factor, *block_and_margin(one, weights))
    return _ring(canvas, one.point, factor)


def draw_detail(one: PixelAttribution, scale: int, *, factor: int = 6) -> np.ndarray:
    """Outline the detail on the input, see :func:`draw_attribution`."""
    canvas = zoom(one.input, factor)
    _outline(canvas, _detail(one, scale, factor), POINT_COLOUR)
    return canvas


def draw_attribution(one: PixelAttribution, scale: int, *, factor: int = 6) -> np.ndarray:
    """Draw the magnitude of a local attribution on the dimmed input, and outline the detail.

    Args:
        one: the attribution of a detail.
        scale: S of the network.
        factor: magnification.

    Returns:
        uint8 RGB, [factor h, factor w, 3].
    """
    canvas = _colour(attribution_weights(one), one.input, factor, 1, 0)
    # Few pixels contribute; the dark grey image shows where they are.
    grey = zoom(one.input, factor).mean(-1, keepdims=True) * 0.4
    canvas = np.maximum(canvas, grey.astype(np.uint8))
    _outline(canvas, _detail(one, scale, factor), POINT_COLOUR)
    return canvas


def error_map(image: np.ndarray, gt: np.ndarray, *, gain: int = 8) -> np.ndarray:
    """Draw the largest absolute difference over the channels, ``gain`` times, as grey.

    Args:
        image: uint8 RGB, [H, W, 3].
        gt: of the same size.
        gain: differences of 255 / gain or more are white.

    Returns:
        uint8, [H, W, 3].
    """
    error = np.abs(image.astype(np.int16) - gt).max(-1)
    return np.stack([np.minimum(gain * error, 255).astype(np.uint8)] * 3, -1)


def draw_box(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Outline a box (x, y, width, height) on a copy of an image."""
    canvas = image.copy()
    # White within black: red can hardly be seen on a night sky.
    _outline(canvas, box, '#ffffff', line=max(2, max(canvas.shape[:2]) // 100))
    return canvas


# A box is (x, y, width, height) in pixels of the canvas.
_Box = tuple[float, float, float, float]


def _scaled(factor: int, x: float, y: float, side: float) -> _Box:
    return factor * x, factor * y, factor * side, factor * side


def _detail(one: PixelAttribution, scale: int, factor: int) -> _Box:
    return tuple(factor * value / scale for value in one.box)


def _colour(
    weights: np.ndarray, lq: np.ndarray, factor: int, block: float, margin: int
) -> np.ndarray:
    """Colour a map at the size of its input, of which a weight covers ``block`` x ``block``."""
    height, width = lq.shape[:2]
    relative, (low, high, gamma) = relative_weights(weights, margin)
    level = np.clip((relative - low) / (high - low), 0, 1) ** gamma
    colours = cv2.applyColorMap((255 * level).round().astype(np.uint8), cv2.COLORMAP_INFERNO)
    size = [round(factor * block * side) for side in weights.shape[::-1]]
    # The last block may reach beyond the input.
    canvas = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(canvas[: factor * height, : factor * width, ::-1])


def _line(canvas: np.ndarray) -> int:
    """The width of lines that stay visible at half the size of the canvas."""
    return max(1, max(canvas.shape[:2]) // 180)


def _ring(canvas: np.ndarray, point: tuple[int, int], factor: int) -> np.ndarray:
    """Draw a ring that leaves the pixel free."""
    centre = [round(factor * (at + 0.5)) for at in point]
    radius = max(2 * factor, max(canvas.shape[:2]) // 50)
    line = _line(canvas)
    for shade, thickness in ((0, 0, 0), 2 * line), (_rgb(POINT_COLOUR), line):
        cv2.circle(canvas, centre, radius, shade, thickness, cv2.LINE_AA)
    return canvas


def _outline(canvas: np.ndarray, box: _Box, colour: str, line: int = 0) -> None:
    """Draw a box with a black edge, visible on any image."""
    x, y, width, height = box
    corners = [(round(x), round(y)), (round(x + width) - 1, round(y + height) - 1)]
    line = line or _line(canvas)
    for shade, thickness in ((0, 0, 0), 2 * line), (_rgb(colour), line):
        cv2.rectangle(canvas, *corners, shade, thickness)


def _label(canvas: np.ndarray, text: str, box: _Box, taken: Sequence[_Box], colour: str) -> _Box:
    """Write a label on the side of a box where it covers least of ``taken``."""
    line = _line(canvas)
    size = max(canvas.shape[:2]) / 1000
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, size, line)
    pad = line + 1
    width, height = text_width + 2 * pad, text_height + 2 * pad
    x, y, box_width, box_height = box
    left, right = x - width - 2 * line, x + box_width + 2 * line
    top, bottom = y - height - 2 * line, y + box_height + 2 * line
    middle, centre = x + (box_width - width) / 2, y + (box_height - height) / 2
    places = [
        (middle, top), (right, centre), (left, centre), (middle, bottom),
        (right, top), (left, top), (right, bottom), (left, bottom),
    ]  # fmt: skip

    def covered(place: tuple[float, float]) -> float:
        label = *place, width, height
        inside = _overlap(label, (0, 0, canvas.shape[1], canvas.shape[0]))
        return width * height - inside + sum(_overlap(label, other) for other in taken)

    x, y = min(places, key=covered)
    corners = [(round(x), round(y)), (round(x + width) - 1, round(y + height) - 1)]
    cv2.rectangle(canvas, *corners, _rgb(colour), cv2.FILLED)
    cv2.rectangle(canvas, *corners, (0, 0, 0), max(1, line // 2))
    at = round(x + pad), round(y + height - pad)
    cv2.putText(canvas, text, at, _FONT, size, (0, 0, 0), line, cv2.LINE_AA)
    return x, y, width, height


def _overlap(a: _Box, b: _Box) -> float:
    """The area that two boxes share."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _rgb(colour: str) -> tuple[int, int, int]:
    """'#rrggbb' as numbers."""
    return tuple(bytes.fromhex(colour[1:]))
