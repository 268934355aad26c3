"""EXIF and XMP of an image whose orientation and size change on its way."""

import re
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

_RESOLUTION = Base.XResolution, Base.YResolution, Base.ResolutionUnit
# What describes the image and not how its bytes are laid out, which TIFF keeps in the same place.
_DESCRIPTIVE = [Base.DocumentName, Base.ImageDescription, Base.Make, Base.Model, *_RESOLUTION]
_DESCRIPTIVE += [Base.Software, Base.DateTime, Base.Artist, Base.HostComputer, Base.Copyright]
_DESCRIPTIVE += [Base.Rating, Base.RatingPercent, Base.XPTitle, Base.XPComment, Base.XPAuthor]
_DESCRIPTIVE += [Base.XPKeywords, Base.XPSubject]
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
        tags[Base.Software] = software
    details = _details(tags, IFD.Exif)
    if details:
        details[Base.ExifImageWidth], details[Base.ExifImageHeight] = size
    return _dump(tags, details, _details(tags, IFD.GPSInfo))


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
    if kept.get(Base.ResolutionUnit) == 1:  # none: the ratio of the sides of a pixel
        for tag in _RESOLUTION:
            kept.pop(tag, None)
    elif Base.XResolution in kept:
        kept.setdefault(Base.ResolutionUnit, 2)  # inch
    if str(kept.get(Base.ImageDescription)).startswith(_LAYOUTS):
        del kept[Base.ImageDescription]
    return _dump(kept, _details(tags, IFD.Exif), _details(tags, IFD.GPSInfo))


def _details(tags: Image.Exif, ifd: int) -> dict[int, Any]:
    """All but a pointer to what is not copied."""
    return {tag: value for tag, value in tags.get_ifd(ifd).items() if tag != IFD.Interop}


def _dump(tags: Image.Exif, details: dict[int, Any], gps: dict[int, Any]) -> bytes | None:
    clean = Image.Exif()
    for tag, value in tags.items():
        if tag not in (IFD.Exif, IFD.GPSInfo):
            clean[tag] = value
    for ifd, values in (IFD.Exif, details), (IFD.GPSInfo, gps):
        if values:
            clean[ifd] = values
    return clean.tobytes() if len(clean) else None


def _set_xmp(xmp: bytes, name: bytes, value: int) -> bytes:
    """Set a number that is there, as an attribute or as an element."""
    return re.sub(rb'(%s\s*(?:=\s*["\']|>)\s*)\d+' % name, rb'\g<1>%d' % value, xmp)
