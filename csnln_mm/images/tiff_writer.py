"""Write TIFF files row by row."""

import math
import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import ExifTags, Image, TiffImagePlugin

from csnln_mm import limits
from csnln_mm.images.georeference import GDAL_NODATA
from csnln_mm.images.image_data import ImageData, as_bands
from csnln_mm.images.value_range import full_range

_TILE = 256
# Less than 4 GiB by what the directory takes: from there on offsets have 64 bits.
_BIG = 2**32 - 2**26
_XMP, _MIN_SAMPLE, _MAX_SAMPLE, _SMIN_SAMPLE, _SMAX_SAMPLE = 700, 280, 281, 340, 341
_BYTE, _ASCII, _SHORT, _LONG, _UNDEFINED = 1, 2, 3, 4, 7
_SHORTER = {ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit}
_DIRECTORIES = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo


def write_tiff(
    file: BinaryIO, pages: Iterable[tuple[Iterable[ImageData], tuple[int, int]]], count: int = 1
) -> None:
    """Write images as pages: large ones in tiles, and as a BigTIFF if necessary.

    Args:
        file: empty, open for reading and writing.
        pages: of each, the rows from top to bottom, the metadata being those of the first ones, and
            its (width, height).
        count: of pages, as far as that is known.
    """
    pages = iter(pages)
    strips, first_size = next(pages)
    strips = iter(strips)
    first = next(strips)
    is_big = count * math.prod(first_size) * _channels(first) * first.pixels.itemsize > _BIG
    pages = chain([(chain([first], strips), first_size)], pages)
    added = []
    with tifffile.TiffWriter(file, bigtiff=is_big, byteorder='<') as writer:
        for number, (rows, size) in enumerate(pages):
            directories = _write_page(writer, iter(rows), size, is_big)
            added += [(number, *directory) for directory in directories.items()]
    for number, code, entries in added:
        _add_directory(file, number, code, entries)


def _channels(image: ImageData) -> int:
    return as_bands(image.pixels).shape[2] + (image.alpha is not None)


def _write_page(
    writer: tifffile.TiffWriter, strips: Iterator[ImageData], size: tuple[int, int], is_big: bool
) -> dict[int, dict]:
    """Write a page; return the directories to add to it."""
    first = next(strips)
    width, height = size
    channels = _channels(first)
    dtype = first.pixels.dtype
    colour = first.groups[0] == 3
    extra = channels - (3 if colour else 1)
    kinds = ['unspecified'] * extra
    if first.alpha is not None:
        kinds[-1] = 'unassalpha'
    is_large = width * height >= limits.LARGE_IMAGE_PIXELS
    rows = _joined(first, strips)
    shape = (height, width) if channels == 1 else (height, width, channels)
    options: dict[str, Any] = {}
    if is_large:
        data: Any = _tiles(rows, size, channels, dtype)
        options['tile'] = _TILE, _TILE
    else:
        data = np.concatenate(list(rows))
    directories, tags = _tags(first)
    if is_big:
        directories = {}  # of EXIF and GPS; Pillow writes none with 64 bits
    writer.write(
        data,
        shape=shape,
        dtype=dtype,
        photometric='rgb' if colour else 'minisblack',
        planarconfig='contig' if channels > 1 else None,
        extrasamples=kinds or None,
        compression='zlib',
        predictor=dtype.kind in 'iu',  # photographs take a quarter less
        metadata=None,
        software=False,
        maxworkers=1,
        # One below their own number, which tifffile does not write.
        extratags=[*tags, *((code - 1, _LONG, 1, 0, True) for code in directories)],
        **options,
        **_resolution(first.exif),
    )
    return directories


def _joined(first: ImageData, others: Iterable[ImageData]) -> Iterator[np.ndarray]:
    """Yield rows with transparency as the last band, [h, W] or [h, W, C]."""
    for strip in (one for group in ([first], others) for one in group):
        if strip.alpha is None:
            yield strip.pixels[..., 0] if strip.pixels.shape[2:] == (1,) else strip.pixels
        else:
            yield np.dstack([strip.pixels, strip.alpha])


def _tiles(
    rows: Iterable[np.ndarray], size: tuple[int, int], channels: int, dtype: np.dtype
) -> Iterator[np.ndarray]:
    width, height = size
    line = np.zeros((_TILE, math.ceil(width / _TILE) * _TILE, channels), dtype)
    filled = done = 0
    for strip in map(as_bands, rows):
        at = 0
        while at < len(strip):
            count = min(_TILE - filled, len(strip) - at)
            line[filled : filled + count, :width] = strip[at : at + count]
            at, filled, done = at + count, filled + count, done + count
            if filled == _TILE or done == height:
                line[filled:] = 0
                for left in range(0, line.shape[1], _TILE):
                    tile = np.ascontiguousarray(line[:, left : left + _TILE])
                    yield tile[..., 0] if channels == 1 else tile
                filled = 0


def _tags(image: ImageData) -> tuple[dict[int, dict], list[tuple[int, int, int, Any, bool]]]:
    """Directories of EXIF and GPS, and all other tags, as tifffile takes them."""
    directories: dict[int, dict] = {}
    tags: list[tuple[int, int, int, Any, bool]] = []
    if image.exif:
        exif = Image.Exif()
        exif.load(image.exif)
        entries = TiffImagePlugin.ImageFileDirectory_v2(prefix=b'II')
        for code, value in exif.items():
            if code in _DIRECTORIES:
                directories[code] = exif.get_ifd(code)
            elif code not in _SHORTER:
                entries[code] = value
        for code, value in entries.items():
            tags.append(_tag(code, entries.tagtype[code], value))
    for code, kind, value in (
        (_XMP, _BYTE, image.xmp),
        (TiffImagePlugin.ICCPROFILE, _UNDEFINED, image.icc_profile),
    ):
        if value:
            tags.append((code, kind, len(value), value, True))
    reference = image.georeference.tags if image.georeference else {}
    for code, (kind, count, value) in reference.items():
        if code != GDAL_NODATA:
            tags.append((code, kind, 0 if kind == _ASCII else count, value, True))
    if image.nodata is not None:
        tags.append((GDAL_NODATA, _ASCII, 0, f'{image.nodata:.17g}', True))
    elif GDAL_NODATA in reference and image.pixels.dtype.kind == 'f':
        tags.append((GDAL_NODATA, _ASCII, 0, 'nan', True))
    if image.value_range is not None and image.value_range != full_range(image.pixels.dtype):
        tags += _range_tags(image)
    return directories, tags


def _range_tags(image: ImageData) -> list[tuple[int, int, int, Any, bool]]:
    assert image.value_range is not None
    kinds = {'u': (_SHORT, _MIN_SAMPLE, _MAX_SAMPLE), 'i': (8, _SMIN_SAMPLE, _SMAX_SAMPLE)}
    kind, low, high = kinds.get(image.pixels.dtype.kind, (11, _SMIN_SAMPLE, _SMAX_SAMPLE))
    count = _channels(image)
    ends = image.value_range if kind == 11 else tuple(map(int, image.value_range))
    values = [end if count == 1 else (end,) * count for end in ends]
    return [(low, kind, count, values[0], True), (high, kind, count, values[1], True)]


def _tag(code: int, kind: int, value: Any) -> tuple[int, int, int, Any, bool]:
    if kind == _ASCII:
        return code, kind, 0, str(value).encode('utf-8', 'replace'), True
    if isinstance(value, bytes):
        return code, kind, len(value), value, True
    values: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
    return code, kind, len(values), values if len(values) > 1 else next(iter(values), 0), True


def _resolution(exif: bytes | None) -> dict[str, Any]:
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    across = tags.get(ExifTags.Base.XResolution)
    down = tags.get(ExifTags.Base.YResolution, across)
    if across is None or not min(float(across), float(down)) > 0:
        return {}
    unit = int(tags.get(ExifTags.Base.ResolutionUnit, 2))
    return dict(resolution=(float(across), float(down)), resolutionunit=unit)


def _add_directory(file: BinaryIO, number: int, code: int, entries: dict) -> None:
    """Append a directory, and let the placeholder tag of a page point to it."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b'II')
    for entry, value in entries.items():
        directory[entry] = value
    file.seek(0, 2)
    start = file.tell() + file.tell() % 2
    file.seek(start)
    file.write(directory.tobytes(start))
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[number]
        assert isinstance(page, tifffile.TiffPage)
        tag = page.tags[code - 1]
        tag.overwrite(start)
        file.seek(tag.offset)
        file.write(struct.pack('<H', code))
