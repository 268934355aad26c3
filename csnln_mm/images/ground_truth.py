"""Images to train on or to measure against: bands, a range of values, and no holes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.images.bands import check_bands, parse_bands
from csnln_mm.images.image_data import ImageData, ImageHeader, as_bands, fill_pixels, unseen_pixels
from csnln_mm.images.image_file import read_image
from csnln_mm.images.value_range import RangeOption, ValueRange, find_range


class GroundTruth(NamedTuple):
    """An image, and the values of it that are black and white.

    Attributes:
        image: [H, W, C]. Transparent pixels, and those without a value, have the value of the
            nearest other pixel.
        values: the range of each band.
    """

    image: ImageData
    values: ValueRange

    def to_255(self, pixels: np.ndarray) -> np.ndarray:
        """Map values of such an image to 0 (black) to 255 (white).

        Args:
            pixels: [H, W, C].

        Returns:
            float32; 8-bit pixels whose range is full are returned unchanged.
        """
        if pixels.dtype == np.uint8 and self.values.origin == 'full':
            return pixels
        low, high = (np.array(ends, np.float32) for ends in (self.values.low, self.values.high))
        return (pixels.astype(np.float32) - low) / ((high - low) / np.float32(255))


def read_ground_truth(
    path: str | Path, value_range: RangeOption = None, bands: str | None = None
) -> GroundTruth:
    """Read an image.

    Args:
        path: of the file.
        value_range: see :func:`~csnln_mm.images.value_range.find_range`.
        bands: those to read, as of :func:`~csnln_mm.images.bands.parse_bands`; by default all.

    Raises:
        UserError: if it cannot be read, or lacks one of the bands.
    """
    image = read_image(path)
    if bands is not None:
        count_bands(path, image.header, bands)
        image = image.select(parse_bands(bands))
    values, groups = find_range(image, value_range), image.groups
    pixels = fill_pixels(as_bands(image.pixels), unseen_pixels(image))
    return GroundTruth(image._replace(pixels=pixels, alpha=None, nodata=None, bands=groups), values)


def count_bands(path: str | Path, header: ImageHeader, bands: str | None = None) -> int | None:
    """Count an image's bands; None for 8-bit grey or RGB, which all programs read alike.

    Args:
        path: of the file, for the message.
        header: of the file.
        bands: a choice of bands; if given, they are counted in any case.

    Raises:
        UserError: if the image lacks one of them.
    """
    if bands is not None:
        groups = parse_bands(bands)
        try:
            check_bands(groups, sum(header.groups))
        except UserError as error:
            raise UserError(f'{path}: {error}') from error
        return sum(map(len, groups))
    if header.dtype == 'uint8' and header.groups in ((1,), (3,)):
        return None
    return sum(header.groups)
