"""Images in memory, and the headers of image files."""

from typing import NamedTuple, Protocol

import numpy as np

from csnln_mm.images.bands import check_bands
from csnln_mm.images.georeference import Georeference

# Values of float images beyond it stand for none, whatever the file says.
LARGEST = 1e30


class ImageHeader(NamedTuple):
    """The properties of an image that are known before it is decoded.

    Attributes:
        size: (width, height) in pixels, upright as far as EXIF before the pixels says.
        deep: whether it has 16 bits per channel, not 8.
        alpha: whether it has transparency.
        software: the program that wrote it; '' if it does not say.
        lossy: whether its compression has visibly changed the image.
        groups: sizes of the groups of bands, as of :class:`ImageData`.
        dtype: of the pixels, one of :data:`csnln_mm.images.value_range.DTYPES`.
        has_place: whether it has a georeference.
        by_rows: whether it can be read by rows, with little memory.
        kind: the format, as Pillow calls it.
        frames: how many frames or pages there are; 1 of one that was chosen.
        plays: how often an animation is played; 0 for without end.
        reduced: whether its frames have more than the 8 bits that are read of them.
    """

    size: tuple[int, int]
    deep: bool = False
    alpha: bool = False
    software: str = ''
    lossy: bool = False
    groups: tuple[int, ...] = (3,)
    dtype: str = 'uint8'
    has_place: bool = False
    by_rows: bool = False
    kind: str = ''
    frames: int = 1
    plays: int = 0
    reduced: bool = False


class ImageData(NamedTuple):
    """An image, upright.

    Attributes:
        pixels: uint8, uint16, int16 or float32; [H, W] grey, [H, W, 3] RGB, or [H, W, C] bands.
        alpha: of the same dtype, [H, W], not premultiplied; None where there is none.
        icc_profile: that ``pixels`` are meant in; None means sRGB.
        exif: metadata as Pillow writes them, without orientation and thumbnail.
        xmp: metadata as an XMP packet, with an orientation of 1 if it has any.
        bands: sizes of the groups of bands that belong together, in order, such as (3, 1) for RGB
            and near infrared; None: (1,) of [H, W], (3,) of three bands, (3, 1) of four, and (1, 1,
            ...) of others.
        value_range: values that are black and white, as the file says; None if it does not.
        nodata: the value that stands for none; None without any. NaN does in any case.
        georeference: where it lies; None if the file does not say.
        texts: keywords and texts, such as the chunks of a PNG, or a comment.
        duration: for how many milliseconds a frame of an animation is shown.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    nodata: float | None = None
    georeference: Georeference | None = None
    texts: tuple[tuple[str, str], ...] = ()
    duration: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def groups(self) -> tuple[int, ...]:
        """``bands``, or their default."""
        if self.bands is not None:
            return self.bands
        count = 1 if self.pixels.ndim == 2 else self.pixels.shape[2]
        return {3: (3,), 4: (3, 1)}.get(count, (1,) * count)

    @property
    def header(self) -> ImageHeader:
        """The header that a file of this image would have."""
        return ImageHeader(
            self.size,
            self.pixels.dtype == np.uint16,
            self.alpha is not None,
            groups=self.groups,
            dtype=str(self.pixels.dtype),
            has_place=self.georeference is not None and self.georeference.has_place,
        )

    def rows(self, top: int, bottom: int) -> 'ImageData':
        """These rows of the image."""
        alpha = None if self.alpha is None else self.alpha[top:bottom]
        return self._replace(pixels=self.pixels[top:bottom], alpha=alpha)

    def select(self, groups: tuple[tuple[int, ...], ...]) -> 'ImageData':
        """The image of these bands, in their order and groups.

        Raises:
            UserError: if it does not have one of them.
        """
        pixels = as_bands(self.pixels)
        check_bands(groups, pixels.shape[2])
        bands = [band for group in groups for band in group]
        return self._replace(
            pixels=np.ascontiguousarray(pixels[..., bands]),
            bands=tuple(len(group) for group in groups),
            georeference=self.georeference and self.georeference.select(bands),
        )


class RowSource(Protocol):
    """An image that is read by rows: an ``ImageData``, or a file."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        ...

    def rows(self, top: int, bottom: int) -> ImageData:
        """These rows of the image."""
        ...


class WrappedRows:
    """An image that wraps around at its borders.

    Args:
        image: to continue.
        margins: columns to add on the left and on the right, and rows above and below.
    """

    def __init__(self, image: RowSource, margins: tuple[int, int]) -> None:
        self.image, self.margins = image, margins

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, with the margins."""
        (width, height), (x, y) = self.image.size, self.margins
        return width + 2 * x, height + 2 * y

    def rows(self, top: int, bottom: int) -> ImageData:
        """These rows of the larger image."""
        (width, height), (x, y) = self.image.size, self.margins
        columns = np.arange(-x, width + x) % width
        parts, place, end = [], top - y, bottom - y
        while place < end:
            first = place % height
            part = self.image.rows(first, min(height, first + end - place))
            place += len(part.pixels)
            if x:
                alpha = None if part.alpha is None else part.alpha[:, columns]
                part = part._replace(pixels=part.pixels[:, columns], alpha=alpha)
            parts.append(part)
        if len(parts) == 1:
            return parts[0]
        alphas = [part.alpha for part in parts if part.alpha is not None]
        return parts[0]._replace(
            pixels=np.concatenate([part.pixels for part in parts]),
            alpha=np.concatenate(alphas) if alphas else None,
        )


def read_rows(
    image: RowSource, top: int, bottom: int, bands: tuple[tuple[int, ...], ...] | None
) -> ImageData:
    """Read rows of an image, and select groups of bands, counted from 0."""
    rows = image.rows(top, bottom)
    return rows if bands is None else rows.select(bands)


def as_bands(pixels: np.ndarray) -> np.ndarray:
    """Reshape [H, W] or [H, W, C] to [H, W, C]."""
    return pixels[..., None] if pixels.ndim == 2 else pixels


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror [H, W] or [H, W, C] by an orientation of EXIF, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def hidden_pixels(image: ImageData) -> np.ndarray | None:
    """Mask pixels without a value, [H, W, C]; None if there are none."""
    pixels = as_bands(image.pixels)
    mask = None
    if pixels.dtype.kind == 'f':
        with np.errstate(invalid='ignore'):
            mask = ~(np.abs(pixels) <= LARGEST)
    if image.nodata is not None:
        equal = pixels == np.float32(image.nodata)
        mask = equal if mask is None else mask | equal
    return mask if mask is not None and mask.any() else None


def unseen_pixels(image: ImageData) -> np.ndarray | None:
    """Mask pixels without a value or transparent ones, [H, W, C or 1]; None if there are none."""
    mask = hidden_pixels(image)
    if image.alpha is not None:
        invisible = (image.alpha == 0)[..., None]
        mask = invisible if mask is None else mask | invisible
    return mask


def fill_pixels(pixels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Replace masked pixels, [H, W, C or 1], of [H, W, C] by the nearest unmasked ones.

    Otherwise their values would bleed into the edges of what is visible.
    """
    if mask is None or not mask.any():
        return pixels
    import cv2

    filled = pixels.copy()
    for band in range(mask.shape[2]):
        hidden = mask[..., band]
        bands = slice(None) if mask.shape[2] == 1 else slice(band, band + 1)
        if hidden.all():
            if pixels.dtype.kind == 'f':
                filled[..., bands] = 0
            continue
        _, labels = cv2.distanceTransformWithLabels(
            hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        nearest = labels.astype(np.int64)
        of_label = np.zeros((nearest.max() + 1, filled[..., bands].shape[2]), pixels.dtype)
        of_label[nearest[~hidden]] = pixels[~hidden][:, bands]
        filled[..., bands] = of_label[nearest]
    return filled
