"""EXIF and XMP of an image whose orientation and size change on its way."""

import re
from typing import Any

from PIL import Image

__all__ = ['read_metadata', 'update_exif', 'update_xmp']

_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
_DESCRIPTION = 0x010E
_RESOLUTION = _, _, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_SOFTWARE = 0x0131
_PIXEL_X_DIMENSION = 0xA002
_PIXEL_Y_DIMENSION = 0xA003
# What describes the image and not how its bytes are laid out, which TIFF keeps in the same place:
# document name, description, make, model, resolution (3), software, date, artist, host, rating
# (2), copyright, and Windows' title, comment, author, keywords, subject.
_DESCRIPTIVE = [0x010D, _DESCRIPTION, 0x010F, 0x0110, *_RESOLUTION, _SOFTWARE, 0x0132, 0x013B]
_DESCRIPTIVE += [0x013C, 0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F]
_INTEROPERABILITY = 0xA005  # a pointer to what is not copied
# Descriptions by which tifffile, ImageJ and OME say what shape an image has.
_LAYOUTS = ('{"shape"', 'ImageJ=', '<?xml')


def read_metadata(image: Image.Image) -> tuple[bytes | None, bytes | None]:
    """EXIF and XMP of an image as opened, without their orientation; None for what there is not.

    The thumbnail is left out, and so is what cannot be read: metadata are no reason to refuse an
    image.
    """
    try:
        exif = _read_exif(image)
    except Exception:  # whatever broken bytes make Pillow stumble over
        exif = None
    xmp = image.info.get('xmp')
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if not isinstance(xmp, bytes):
        return exif, None
    return exif, _set_xmp(xmp, b'tiff:Orientation', 1)


def update_exif(exif: bytes | None, size: tuple[int, int], software: str | None) -> bytes | None:
    """EXIF for an image of this (width, height) that this software made; None if there is none."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    if software:
        tags[_SOFTWARE] = software
    details = _details(tags, _EXIF_IFD)
    if details:
        details[_PIXEL_X_DIMENSION], details[_PIXEL_Y_DIMENSION] = size
    return _dump(tags, details, _details(tags, _GPS_IFD))


def update_xmp(xmp: bytes | None, size: tuple[int, int]) -> bytes | None:
    """XMP for an image of this (width, height)."""
    if xmp is None:
        return None
    for names, side in (
        ((b'exif:PixelXDimension', b'tiff:ImageWidth'), size[0]),
        ((b'exif:PixelYDimension', b'tiff:ImageLength'), size[1]),
    ):
        for name in names:
            xmp = _set_xmp(xmp, name, side)
    return xmp


def _read_exif(image: Image.Image) -> bytes | None:
    tags = image.getexif()
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags[tag]
    if kept.get(_RESOLUTION_UNIT) == 1:  # none: the ratio of the sides of a pixel
        for tag in _RESOLUTION:
            kept.pop(tag, None)
    elif _RESOLUTION[0] in kept:
        kept.setdefault(_RESOLUTION_UNIT, 2)  # inch
    if str(kept.get(_DESCRIPTION)).startswith(_LAYOUTS):
        del kept[_DESCRIPTION]
    return _dump(kept, _details(tags, _EXIF_IFD), _details(tags, _GPS_IFD))


def _details(tags: Image.Exif, ifd: int) -> dict[int, Any]:
    return {tag: value for tag, value in tags.get_ifd(ifd).items() if tag != _INTEROPERABILITY}


def _dump(tags: Image.Exif, details: dict[int, Any], gps: dict[int, Any]) -> bytes | None:
    clean = Image.Exif()
    for tag, value in tags.items():
        if tag not in (_EXIF_IFD, _GPS_IFD):
            clean[tag] = value
    for ifd, values in (_EXIF_IFD, details), (_GPS_IFD, gps):
        if values:
            clean[ifd] = values
    return clean.tobytes() if len(clean) else None


def _set_xmp(xmp: bytes, name: bytes, value: int) -> bytes:
    """Set a number that is there, as an attribute or as an element."""
    return re.sub(rb'(%s\s*(?:=\s*["\']|>)\s*)\d+' % name, rb'\g<1>%d' % value, xmp)
