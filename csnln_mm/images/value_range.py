"""The values of an image that are black and white to a network.

Networks are trained on 0..1, and do worse on images that use a small part of that: 12 bits in a
16-bit file cost 1.6 dB. So the values are mapped to 0..1 first, and the result is mapped back.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.images.image_data import ImageData, RowSource, as_bands, read_rows, unseen_pixels

# What a user can ask for; None: as the file says, or as seen in the data.
RangeOption = tuple[float, float] | Literal['full', 'data'] | None

DTYPES = ('uint8', 'uint16', 'int16', 'float32')
# Pixels that are looked at in one piece.
_STATISTICS_PIXELS = 2**22
# Extremes are outliers if they lie so many times as far apart as what nearly all pixels have.
_OUTLIERS = 4
_SAMPLE = 2**20
_PERCENTILES = 0.01, 0.1, 99.9, 99.99


class ValueRange(NamedTuple):
    """The values of each band that are 0 and 1 to the network.

    Attributes:
        low: of each band.
        high: of each band, above ``low``.
        origin: where it comes from: 'full', all values of the type; 'file', its metadata; 'data',
            the pixels; or 'given'.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    origin: str

    def __str__(self) -> str:
        ranges = list(dict.fromkeys(f'{a:g} to {b:g}' for a, b in zip(self.low, self.high)))
        if len(ranges) > 3:
            ranges[2:] = [f'others ({len(ranges) - 2})']
        return ', '.join(ranges)


def full_range(dtype: np.dtype) -> tuple[float, float]:
    """The lowest and the highest value of an integer type; 0 and 1 of float."""
    if dtype.kind == 'f':
        return 0.0, 1.0
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)


def range_of_bits(bits: int) -> tuple[float, float]:
    """0 and the highest value of ``bits`` bits."""
    return 0.0, float(2**bits - 1)


def check_range(option: RangeOption) -> None:
    """Raise UserError unless a range can be asked for."""
    if option in (None, 'full', 'data'):
        return
    try:
        low, high = (float(value) for value in option)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        raise UserError(
            f"the range must be two numbers, 'full' or 'data', got {option!r}"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f'the range must go from a lower number to a higher, got {low:g} {high:g}')


def find_range(
    image: RowSource, option: RangeOption, bands: tuple[tuple[int, ...], ...] | None = None
) -> ValueRange:
    """Choose the range of an image's values, and read the image once if it depends on them.

    Args:
        image: groups of a single band each have one range, unless each band is asked for.
        option: two numbers; 'full': all values of the type, 0..1 of float; 'data': of each band
            from the 0.1th to the 99.9th percentile. None: what the file says; else for 8 bits
            'full', and for others what the pixels show: of unsigned integers the bits in use,
            otherwise the extremes, but neither where only outliers need them.
        bands: groups of bands to select, counted from 0; all by default.
    """
    first = read_rows(image, 0, 1, bands)
    dtype, said, count = first.pixels.dtype, first.value_range, sum(first.groups)
    if option is not None and option != 'full' and option != 'data':
        return _make([option] * count, 'given')
    if option == 'full' or (option is None and said is None and dtype == np.uint8):
        return _make([full_range(dtype)] * count, 'full')
    if option is None and said is not None:
        return _make([said] * count, 'file')
    width, height = image.size
    step = max(1, _STATISTICS_PIXELS // width)
    ends, percentiles = _measure_values(
        (
            _without_hidden(read_rows(image, top, min(top + step, height), bands))
            for top in range(0, height, step)
        ),
        width * height,
    )
    if option == 'data':
        return _make(percentiles[1:3].T.tolist(), 'data')
    pairs, band = [], 0
    for size in first.groups:
        group = slice(band, band + size)
        pairs += [_seen(dtype, ends[:, group], percentiles[:, group])] * size
        band += size
    full = all(pair == full_range(dtype) for pair in pairs)
    return _make(pairs, 'full' if full else 'data')


def _measure_values(blocks: Iterable[np.ndarray], pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The extremes, [2, C], and the percentiles of at most a million pixels, [4, C].

    ``blocks`` are [..., C], from top to bottom, with NaN where there is no value; ``pixels`` is
    their number.
    """
    step, position = max(1, -(-pixels // _SAMPLE)), 0
    lows, highs, samples = [], [], []
    for block in blocks:
        values = block.reshape(-1, block.shape[-1])
        samples.append(values[-position % step :: step].astype(np.float32))
        position += len(values)
        lows.append(np.fmin.reduce(values, 0))
        highs.append(np.fmax.reduce(values, 0))
    ends = np.stack([np.fmin.reduce(lows, 0), np.fmax.reduce(highs, 0)])
    percentiles = [_percentiles(band) for band in np.concatenate(samples).T]
    return np.nan_to_num(ends.astype(np.float64)), np.stack(percentiles, 1)


def _percentiles(values: np.ndarray) -> np.ndarray:
    values = values[~np.isnan(values)]
    if not len(values):
        return np.zeros(len(_PERCENTILES))
    return np.percentile(values, _PERCENTILES).astype(np.float64)


def _seen(dtype: np.dtype, ends: np.ndarray, percentiles: np.ndarray) -> tuple[float, float]:
    """The range of a group of bands by its extremes and percentiles."""
    low, high = float(ends[0].min()), float(ends[1].max())
    dark, bright = float(percentiles[0].min()), float(percentiles[3].max())
    if bright > dark and high - low > _OUTLIERS * (bright - dark):
        low, high = dark, bright
    if dtype.kind == 'u' and low <= high / 2:
        return range_of_bits(max(8, int(high).bit_length()))
    if dtype.kind == 'f' and 0 <= low <= 0.5 < high <= 1:
        return 0.0, 1.0
    return low, high


def _make(pairs: Sequence[tuple[float, float]], origin: str) -> ValueRange:
    lows = tuple(float(low) for low, _ in pairs)
    highs = tuple(float(high) if high > low else float(low) + 1.0 for low, high in pairs)
    return ValueRange(lows, highs, origin)


def _without_hidden(image: ImageData) -> np.ndarray:
    """Pixels, [H, W, C], with NaN where there is no value, or that is transparent."""
    mask, pixels = unseen_pixels(image), as_bands(image.pixels)
    return pixels if mask is None else np.where(mask, np.float32(np.nan), pixels)
