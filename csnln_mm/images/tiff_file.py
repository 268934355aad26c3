"""Read TIFF files of satellites, microscopes and scanners by rows."""

import contextlib
import logging
import math
import re
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import ExifTags

from csnln_mm import limits
from csnln_mm.device import free_main_memory
from csnln_mm.errors import UserError
from csnln_mm.images.georeference import GDAL_NODATA, Georeference
from csnln_mm.images.image_data import ImageData, ImageHeader, turn_upright
from csnln_mm.images.value_range import DTYPES, full_range, range_of_bits

# It logs what it cannot read; this module raises errors of one line.
logging.getLogger('tifffile').setLevel(logging.CRITICAL)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_NONE, _JPEG, _DEFLATE = 1, 7, (8, 32946)
# Beside these: LZW, LZMA, PackBits, LERC, ZSTD, WebP.
_COMPRESSIONS = (_NONE, 5, _JPEG, *_DEFLATE, 34925, 32773, 34887, 50000, 50001)
_FOR_PILLOW = 2, 3, 4, 6  # of fax machines, and the older JPEG
_ASSOCIATED, _UNASSOCIATED = 1, 2
_MASK = 4  # kind of a page
_BITS, _ICC, _XMP = 258, 34675, 700
_MIN_SAMPLE, _MAX_SAMPLE, _SMIN_SAMPLE, _SMAX_SAMPLE = 280, 281, 340, 341
_DNG_VERSION = 50706
_MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


class RawTiff(Exception):
    """The file is a camera's raw file."""


class TiffImage:
    """An image of a TIFF, read by rows.

    Attributes:
        header: what the file says of it.
        offset: of its directory in the file, which is ``is_big`` and has this ``byteorder``.
    """

    def __init__(
        self,
        file: BinaryIO,
        tiff: tifffile.TiffFile,
        name: str,
        page: tifffile.TiffPage,
        channels: np.ndarray | None,
    ) -> None:
        self.name, self._page = name, page
        self.offset, self.byteorder = page.offset, tiff.byteorder
        self.is_big = tiff.is_bigtiff
        self._planes = _planes(tiff, page, file, name, channels)
        self._mask = _mask(tiff, page, file, name)
        self._orientation = int(page.tags.valueof(ExifTags.Base.Orientation, 1))
        self.georeference = Georeference.read(page.tags)
        self._raw = np.dtype(page.dtype).newbyteorder('=')
        width, height = page.imagewidth, page.imagelength
        self._stored = width, height
        self._find_bands()
        self._nodata = _nodata(page, self._raw)
        self._range = _said_range(tiff, page, self._raw)
        self.header = ImageHeader(
            (height, width) if self._orientation in (5, 6, 7, 8) else (width, height),
            deep=self._raw == np.uint16,
            alpha=self._alpha is not None,
            software=str(page.tags.valueof(ExifTags.Base.Software, '')),
            lossy=page.compression in (_JPEG, 50001),
            groups=self._groups,
            dtype=str(self._raw),
            has_place=self.georeference.has_place,
            kind='TIFF',
        )
        segment = max(plane.segment_bytes for plane in self._planes)
        row = sum(plane.row_bytes for plane in self._planes)
        free = free_main_memory()
        if free is not None and max(segment, row) > free // 2:
            raise UserError(f'{name} is refused: its tiles or strips are larger than the memory')
        small = segment <= limits.TIFF_SEGMENT_BYTES
        by_rows = small and self._orientation in (0, 1)
        self.header = self.header._replace(by_rows=by_rows)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, upright."""
        return self.header.size

    def rows(self, top: int, bottom: int) -> ImageData:
        """These rows of the image.

        Raises:
            UserError: if they are damaged.
        """
        if self._orientation not in (0, 1):
            return self._upright().rows(top, bottom)
        return self._finish(self._read(top, bottom))

    def whole(self) -> ImageData:
        """All of the image."""
        return self.rows(0, self.size[1])

    def _upright(self) -> ImageData:
        data = turn_upright(self._read(0, self._stored[1]), self._orientation)
        return self._finish(np.ascontiguousarray(data))

    def _read(self, top: int, bottom: int) -> np.ndarray:
        parts = [plane.read(top, bottom) for plane in self._planes]
        if self._mask is not None:
            visible = self._mask.read(top, bottom) > 0
            parts.append(visible.astype(self._raw) * self._raw.type(full_range(self._raw)[1]))
        data = np.concatenate(parts, -1) if len(parts) > 1 else parts[0]
        expected = bottom - top, self._stored[0], sum(self._groups) + (self._alpha is not None)
        if data.shape != expected or data.dtype != self._raw:
            raise UserError(f'{self.name} is damaged: it decodes to {data.dtype} {data.shape}')
        return data

    def _finish(self, data: np.ndarray) -> ImageData:
        alpha = None
        if self._alpha is not None:
            alpha = np.ascontiguousarray(data[..., self._alpha])
            data = np.delete(data, self._alpha, -1)
            if self._premultiplied:
                data = _divide_by_alpha(data, alpha)
        if self._page.photometric == _WHITE_IS_ZERO and self._raw.kind == 'u':
            top = self._range[1] if self._range else full_range(self._raw)[1]
            data = (int(top) - np.minimum(data, int(top))).astype(self._raw)
        tags = self._page.tags
        xmp = tags.valueof(_XMP)
        return ImageData(
            data[..., 0] if self._groups == (1,) else np.ascontiguousarray(data),
            alpha,
            icc_profile=tags.valueof(_ICC) if isinstance(tags.valueof(_ICC), bytes) else None,
            xmp=xmp if isinstance(xmp, bytes) else None,
            bands=self._groups,
            value_range=self._range,
            nodata=self._nodata,
            georeference=self.georeference,
        )

    def _find_bands(self) -> None:
        """Tell colour from transparency and other bands; GDAL's metadata take precedence."""
        count = sum(plane.samples for plane in self._planes)
        page, names = self._page, self.georeference.band_names()
        extra = [int(kind) for kind in page.extrasamples]
        first = count - len(extra)
        alphas = [
            first + i
            for i, kind in enumerate(extra)
            if kind in (_ASSOCIATED, _UNASSOCIATED) and 'alpha' in names.get(first + i, 'alpha')
        ]
        self._alpha = alphas[0] if alphas and count > 1 and len(self._planes) == 1 else None
        alpha = self._alpha is not None
        self._premultiplied = alpha and extra[alphas[0] - first] == _ASSOCIATED
        bands = count - alpha
        colours = [names.get(band) for band in range(3)] == ['red', 'green', 'blue']
        colours |= page.photometric in (_RGB, _YCBCR)
        others = names.keys() & {0, 1, 2} and not colours
        self._groups = (3,) + (1,) * (bands - 3) if colours and bands >= 3 else (1,) * bands
        if others and page.photometric == _RGB:
            self._groups = (1,) * bands
        if alpha:
            self._mask = None
        elif self._mask is not None:
            self._alpha = count


class TiffPages:
    """The images of a TIFF: its pages, or the channel stacks of an OME or ImageJ file.

    Reduced copies of pages, and masks, do not count.

    Args:
        file: a TIFF.
        name: what errors call it.

    Attributes:
        pages: the page of each image, as Pillow counts them.

    Raises:
        RawTiff: if it is a camera's raw file.
        Exception: whatever broken bytes make tifffile raise.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._tiff = tifffile.TiffFile(file)
        if _DNG_VERSION in self._page(0).tags:
            raise RawTiff
        self._channels = _channels(self._tiff, self._page(0))
        if self._channels is not None:
            self.pages = [0] * len(self._channels)
        else:
            pages = [self._page(i) for i in range(len(self._tiff.pages))]
            self.pages = [i for i, p in enumerate(pages) if not (p.is_reduced or p.is_mask)] or [0]

    def image(self, index: int) -> TiffImage | None:
        """Open an image; None for those that Pillow reads: palettes, CMYK, Lab, less than 8 bits.

        Raises:
            UserError: if it has pixels that nothing here reads.
            Exception: whatever broken bytes make tifffile raise.
        """
        page = self._page(self.pages[index])
        if not _is_read_here(page, self._name):
            return None
        channels = None if self._channels is None else self._channels[index]
        return TiffImage(self._file, self._tiff, self._name, page, channels)

    def _page(self, index: int) -> tifffile.TiffPage:
        page = self._tiff.pages[index]
        assert isinstance(page, tifffile.TiffPage)
        return page


def open_tiff(file: BinaryIO, name: str) -> TiffPages | None:
    """The TIFF in an open file, None for another format; raises what :class:`TiffPages` raises."""
    start = file.read(4)
    file.seek(0)
    return TiffPages(file, name) if start in _MAGIC else None


def _is_read_here(page: tifffile.TiffPage, name: str) -> bool:
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    photometric, compression = page.photometric, int(page.compression)
    ycbcr = photometric == _YCBCR and compression == _JPEG
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and not ycbcr:
        return False
    if bits < 8:
        return False
    kind = getattr(page.compression, 'name', compression)
    if compression not in _COMPRESSIONS:
        if compression in _FOR_PILLOW:
            return False
        raise UserError(f'{name}: {kind}, its compression, is not supported')
    if page.dtype is None or str(np.dtype(page.dtype).newbyteorder('=')) not in DTYPES:
        dtype = page.dtype or f'{bits} bits'
        raise UserError(
            f'{name}: pixels of the type {dtype} are not supported; convert them to '
            f'{", ".join(DTYPES[:-1])} or {DTYPES[-1]} first'
        )
    if page.imagedepth != 1 or page.is_subsampled and not ycbcr or 0 in page.shape:
        raise UserError(f'{name}: an arrangement that is not supported: {page.shape}')
    if not _can_decode(page, compression, bits):
        if bits == 8 and page.samplesperpixel <= 4:
            return False
        raise UserError(f'{name}: its compression, {kind}, needs the package imagecodecs')
    return True


def _can_decode(page: tifffile.TiffPage, compression: int, bits: int) -> bool:
    """Whether tifffile decodes it; some compressions need imagecodecs."""
    try:
        if compression != _NONE:
            tifffile.TIFF.DECOMPRESSORS[compression]
        if page.predictor != 1:
            tifffile.TIFF.UNPREDICTORS[page.predictor]
        return bits in (8, 16, 32) or compression == _NONE or bits > 8
    except (KeyError, ImportError):
        return False


class _Plane:
    """Samples of all pixels that are stored together: a page."""

    def __init__(self, page: Any, keyframe: tifffile.TiffPage, file: BinaryIO, name: str) -> None:
        self.page, self.keyframe, self.file, self.name = page, keyframe, file, name
        self.width, self.height = keyframe.imagewidth, keyframe.imagelength
        separate = keyframe.planarconfig == 2 and keyframe.samplesperpixel > 1
        self.planes = keyframe.samplesperpixel if separate else 1
        self.samples = keyframe.samplesperpixel
        inner = 1 if separate else keyframe.samplesperpixel
        self.dtype = np.dtype(keyframe.dtype)
        if keyframe.is_tiled:
            self.segment = keyframe.tilelength, keyframe.tilewidth, inner
        else:
            rows = min(keyframe.rowsperstrip or self.height, self.height)
            self.segment = rows, self.width, inner
        self.across = math.ceil(self.width / self.segment[1])
        self.down = math.ceil(self.height / self.segment[0])
        size = math.prod(self.segment) * self.dtype.itemsize
        self.by_rows = (
            keyframe.compression == _NONE
            and not keyframe.is_tiled
            and keyframe.predictor == 1
            and keyframe.fillorder == 1
            and keyframe.bitspersample == 8 * self.dtype.itemsize
        )
        self.row_bytes = size // self.segment[0] * self.across * self.planes
        self.segment_bytes = self.row_bytes if self.by_rows else size * self.across * self.planes
        count = self.across * self.down * self.planes
        offsets, counts = page.dataoffsets, page.databytecounts
        if len(offsets) < count or len(counts) < count:
            raise UserError(f'{name} is damaged: it has fewer strips or tiles than its size needs')
        self.cache: dict[int, np.ndarray | None] = {}

    def read(self, top: int, bottom: int) -> np.ndarray:
        """[bottom - top, W, S]."""
        data = np.zeros((bottom - top, self.width, self.samples), self.dtype.newbyteorder('='))
        lines, columns, inner = self.segment
        kept = {}
        for plane in range(self.planes):
            for row in range(top // lines, -(-bottom // lines)):
                first, last = max(top, row * lines), min(bottom, (row + 1) * lines)
                for column in range(self.across):
                    index = (plane * self.down + row) * self.across + column
                    if self.by_rows:
                        part = self._read_raw(index, first - row * lines, last - row * lines)
                    else:
                        if index not in self.cache:
                            self.cache[index] = self._decode(index)
                        kept[index] = whole = self.cache[index]
                        part = None
                        if whole is not None:
                            part = whole[first - row * lines : last - row * lines]
                    left = column * columns
                    samples = slice(plane, plane + 1) if self.planes > 1 else slice(None)
                    area = data[first - top : last - top, left : left + columns, samples]
                    # A file may leave segments out.
                    area[:] = self.keyframe.nodata if part is None else part[:, : area.shape[1]]
        self.cache = kept
        return data

    def _bytes(self, offset: int, count: int) -> bytes:
        self.file.seek(offset)
        content = self.file.read(count)
        if len(content) != count:
            raise UserError(f'{self.name} is damaged or no image: it is cut off')
        return content

    def _read_raw(self, index: int, first: int, last: int) -> np.ndarray | None:
        offset, count = self.page.dataoffsets[index], self.page.databytecounts[index]
        if count == 0:
            return None
        line = self.segment[1] * self.segment[2] * self.dtype.itemsize
        if last * line > count:
            raise UserError(f'{self.name} is damaged or no image: it is cut off')
        dtype = self.dtype.newbyteorder(self.keyframe.parent.byteorder)
        content = self._bytes(offset + first * line, (last - first) * line)
        return np.frombuffer(content, dtype).reshape(last - first, *self.segment[1:])

    def _decode(self, index: int) -> np.ndarray | None:
        count = self.page.databytecounts[index]
        if count == 0:
            return None
        size = math.prod(self.segment) * self.dtype.itemsize
        if count > size + size // 8 + 2**16:  # no compression makes anything so much larger
            raise UserError(f'{self.name} is damaged: a strip or tile is larger than its pixels')
        content = self._bytes(self.page.dataoffsets[index], count)
        if self.keyframe.compression in _DEFLATE:
            self._check_deflate(content, size)
        options: dict[str, Any] = {}
        if self.keyframe.compression == _JPEG:
            options = dict(jpegtables=self.page.jpegtables, jpegheader=self.keyframe.jpegheader)
        data, _, shape = self.keyframe.decode(content, index, **options)
        if data is None or data.ndim != 4 or data.shape[0] != 1:
            raise UserError(f'{self.name} is damaged or no image')
        data = data[0]
        lines = min(
            self.segment[0], self.height - index // self.across % self.down * self.segment[0]
        )
        if data.shape[0] < lines or data.shape[2] != self.segment[2]:
            raise UserError(f'{self.name} is damaged or no image')
        return data

    def _check_deflate(self, content: bytes, size: int) -> None:
        """Raise UserError if it decompresses to far more than its pixels need."""
        reader, length = zlib.decompressobj(), 0
        while content:
            length += len(reader.decompress(content, 2**20))
            if length > size + 2**20:
                raise UserError(f'{self.name} is damaged: a strip or tile has too many pixels')
            content = reader.unconsumed_tail


class _RawPlane(_Plane):
    """A page without a directory of its own, stored behind others."""

    def __init__(self, offset: int, keyframe: tifffile.TiffPage, file: BinaryIO, name: str) -> None:
        class Page:
            dataoffsets = (offset,)
            databytecounts = (
                keyframe.imagewidth * keyframe.imagelength * np.dtype(keyframe.dtype).itemsize,
            )

        super().__init__(Page, _OneStrip(keyframe), file, name)  # type: ignore[arg-type]


class _OneStrip:
    """Presents a page as a single strip."""

    def __init__(self, page: tifffile.TiffPage) -> None:
        self._page = page
        self.is_tiled, self.rowsperstrip, self.compression = False, page.imagelength, _NONE

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page, name)


def _channels(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> np.ndarray | None:
    """Page numbers by stack and channel, [stacks, channels]; None if each page is an image."""
    if not (tiff.is_ome or tiff.is_imagej) or page.samplesperpixel != 1:
        return None
    axes, shape = tiff.series[0].axes, tiff.series[0].shape
    if len(shape) < 3 or not axes.endswith('YX'):
        return None
    numbers = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])
    if 'C' not in axes:
        return numbers.reshape(-1, 1)
    at = axes.index('C')
    return np.moveaxis(numbers, at, -1).reshape(-1, shape[at])


def _planes(
    tiff: tifffile.TiffFile,
    page: tifffile.TiffPage,
    file: BinaryIO,
    name: str,
    channels: np.ndarray | None,
) -> list[_Plane]:
    """The planes of an image: its page, or the pages of these channels."""
    if channels is None:
        return [_Plane(page, page, file, name)]
    series = tiff.series[0]
    if len(channels) > limits.TIFF_BANDS:
        raise UserError(f'{name}: {len(channels)} channels are not supported')
    if series.dataoffset is not None:
        size = math.prod(series.shape[-2:]) * np.dtype(page.dtype).itemsize
        return [_RawPlane(series.dataoffset + int(i) * size, page, file, name) for i in channels]
    pages = [series.pages[i] for i in channels]
    if any(one is None or one.shape != page.shape for one in pages):
        raise UserError(f'{name}: channels that are missing, or in other files, are not supported')
    return [_Plane(one, page, file, name) for one in pages]


def _mask(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage, file: BinaryIO, name: str
) -> _Plane | None:
    """GDAL's internal mask of visible pixels: the page behind the image."""
    if tiff.is_ome or tiff.is_imagej:
        return None
    try:
        mask = tiff.pages[page.index + 1]
    except IndexError:
        return None
    assert isinstance(mask, tifffile.TiffPage)
    size = page.imagewidth, page.imagelength
    if not mask.subfiletype & _MASK or (mask.imagewidth, mask.imagelength) != size:
        return None
    if mask.samplesperpixel != 1:
        return None
    return _Plane(mask, mask, file, name)


def _nodata(page: tifffile.TiffPage, dtype: np.dtype) -> float | None:
    """GDAL's nodata value; None without one, or if no pixel can have it."""
    text = page.tags.valueof(GDAL_NODATA)
    try:
        value = float(str(text).strip('\0 '))
    except ValueError:
        return None
    if math.isnan(value):
        return None
    if dtype.kind == 'f':
        return float(np.float32(value))
    low, high = full_range(dtype)
    return value if low <= value <= high and value == int(value) else None


def _said_range(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage, dtype: np.dtype
) -> tuple[float, float] | None:
    """The range of values in the file's metadata, if it is less than that of its type."""
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    candidates: list[tuple[Any, Any]] = []
    tags = page.tags
    if dtype.kind == 'u':
        if bits < 8 * dtype.itemsize:
            return range_of_bits(bits)
        candidates.append((0, tags.valueof(_MAX_SAMPLE)))
        if tiff.is_ome:
            found = re.search(r'<Pixels[^>]* SignificantBits="(\d{1,2})"', tiff.ome_metadata or '')
            candidates.append((0, 2 ** int(found[1]) - 1 if found else None))
        if tiff.is_imagej:
            about: Any = tiff.imagej_metadata or {}
            high = about.get('max')
            # Of other numbers it is a contrast that somebody liked.
            if about.get('min') == 0 and isinstance(high, float) and math.log2(high + 1) % 1 == 0:
                candidates.append((0, high))
    candidates.append((tags.valueof(_SMIN_SAMPLE), tags.valueof(_SMAX_SAMPLE)))
    for low, high in candidates:
        with contextlib.suppress(TypeError, ValueError):
            low, high = float(_first(low, min)), float(_first(high, max))
            within = full_range(dtype) if dtype.kind != 'f' else (-math.inf, math.inf)
            if within[0] <= low < high <= within[1] and (low, high) != within:
                return low, high
    return None


def _first(value: Any, choose: Any) -> Any:
    return choose(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _divide_by_alpha(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Undo the multiplication of colour by opacity; 0 where opacity is 0."""
    high = full_range(alpha.dtype)[1]
    tiny = 1 / 65535 if alpha.dtype.kind == 'f' else 1
    opacity = np.maximum(alpha, tiny)[..., None] / high
    divided = colour / opacity
    if colour.dtype.kind == 'f':
        return divided.astype(np.float32)
    return divided.round().clip(*full_range(colour.dtype)).astype(colour.dtype)
