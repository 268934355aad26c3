"""Patches, colour ranges and words for attention and attribution in figures and on the page."""

from collections.abc import Sequence
from math import floor, log10
from typing import NamedTuple

import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.visualization.attention import AttentionMaps
from csnln_mm.visualization.attribution import PixelAttribution

# Distinct from one another, from most photographs, and from the colours of the maps.
BOX_COLOURS = (
    '#ff3b30',
    '#ffcc00',
    '#34c759',
    '#ff2d95',
    '#5e9bff',
    '#ff9500',
    '#bf5af2',
    '#8aff80',
)
POINT_COLOUR = '#00e5ff'


class Match(NamedTuple):
    """A candidate patch: its weight, and its square (x, y, side) in pixels of the input."""

    weight: float
    x: float
    y: float
    side: float


class Crop(NamedTuple):
    """A detail, uint8 RGB, [h, w, 3]; its title; its caption; its colour, '#rrggbb' or ''."""

    pixels: np.ndarray
    title: str
    caption: str = ''
    colour: str = ''


class ColourRange(NamedTuple):
    """Weights at ``low`` are black, at ``high`` brightest, with ``gamma`` in between."""

    low: float
    high: float
    gamma: float


def top_matches(one: AttentionMaps, top: int) -> tuple[list[Match], int]:
    """Find the candidate patches with the largest weights, in descending order.

    This skips patches that reach beyond the border, where the network sees zeros, and patches that
    overlap a stronger one by more than half a side in both directions.

    Args:
        one: with a cross-scale map.
        top: largest number of patches.

    Returns:
        The matches, and how many of the skipped patches weigh more than the last of them.

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


def match_crops(one: AttentionMaps, matches: Sequence[Match], scale: int) -> list[Crop]:
    """Cut out the target patch, its result at ``scale``, and the matches with their shares."""
    target = target_patch(one)
    x, y, side = (scale * value for value in target)
    percent = shares([match.weight for match in matches])
    return [
        Crop(_cut(one.input, *target), 'target', 'input', POINT_COLOUR),
        Crop(_cut(one.output, x, y, side), 'result', f'x{scale}', POINT_COLOUR),
        *(
            Crop(_cut(one.input, *match[1:]), f'patch {number}', share, colour)
            for number, (match, share, colour) in enumerate(zip(matches, percent, BOX_COLOURS), 1)
        ),
    ]


def target_patch(one: AttentionMaps) -> tuple[float, float, float]:
    """The square (x, y, side) of the target patch in pixels of the input."""
    row, column = one.query
    radius = one.patch_size // 2
    return (
        (column - radius) / one.map_scale,
        (row - radius) / one.map_scale,
        one.patch_size / one.map_scale,
    )


def block_and_margin(one: AttentionMaps, weights: np.ndarray) -> tuple[float, int]:
    """The pixels of the input per weight, in each direction, and the border of the map to ignore.

    A weight of the cross-scale map stands for an s x s block of its map. Patches across the border
    often weigh many times as much as all others, so the colour range ignores the border.
    """
    if weights is one.cross_scale:
        return one.scale / one.map_scale, one.patch_size // 2
    return 1 / one.map_scale, 0


def relative_weights(weights: np.ndarray, margin: int = 0) -> tuple[np.ndarray, ColourRange]:
    """Divide a map by its mean, and choose the range of its colours.

    Args:
        weights: sum 1.
        margin: width of the border that the range ignores.

    Returns:
        The multiples of the mean, and a range that 0.2 % of the places exceed, so that single
        places do not leave all others black.
    """
    relative = weights * weights.size
    inner = relative[margin : weights.shape[0] - margin, margin : weights.shape[1] - margin]
    inner = inner if inner.size else relative
    low, high = float(inner.min()), float(np.quantile(inner, 0.998))
    if high - low < 1e-3:  # nearly uniform
        low, high = low - 0.5, high + 0.5
    return relative, ColourRange(low, high, 0.5 if high > 10 * low else 1.0)


def attribution_weights(one: PixelAttribution) -> np.ndarray:
    """The magnitudes of an attribution, [h, w], divided by their sum; zeros if all are zero."""
    magnitudes = one.attribution.map.abs().cpu().numpy()
    return magnitudes / (magnitudes.sum() or 1)


def concentration(weights: np.ndarray, places: str, quantity: str = 'weight') -> str:
    """Say how concentrated a map is.

    Args:
        weights: sum 1.
        places: plural noun for the places that have weights.
        quantity: noun for the weight.
    """
    half = int(np.searchsorted(np.sort(weights.ravel())[::-1].cumsum(), 0.5)) + 1
    largest = float(weights.max() * weights.size)
    number = f'{largest:,.0f}' if largest >= 10 else f'{largest:.2g}'
    return (
        f'half of the {quantity} on {half:,} of {weights.size:,} {places}, '
        f'largest {number} times the mean'
    )


def shares(weights: Sequence[float]) -> list[str]:
    """Format weights as percentages, with decimals for two digits of the largest."""
    largest = 100 * max(weights)
    decimals = max(1, 1 - floor(log10(largest))) if largest > 0 else 1
    return [f'{100 * weight:.{decimals}f} %' for weight in weights]


def _cut(image: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """Cut a square out of an image, grey beyond the border."""
    size = max(1, round(side))
    left, top = round(x) + size, round(y) + size
    padded = np.pad(image, ((size, size), (size, size), (0, 0)), constant_values=128)
    return padded[top : top + size, left : left + size]
