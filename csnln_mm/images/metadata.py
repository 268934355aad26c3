"""EXIF, XMP and texts of an image whose orientation and size change."""

import re
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

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
# What would be wrong in the result: places within the file, or in pixels.
_DROPPED = {IFD.Interop, IFD.MakerNote, Base.ComponentsConfiguration, Base.CompressedBitsPerPixel}
_DROPPED |= {0x9214, Base.SubjectLocation}
_PER_PIXEL = Base.FocalPlaneXResolution, Base.FocalPlaneYResolution
# Of XMP: previews; images behind the first one, which the result does not have; where the rest is.
_DROPPED_XMP = (
    rb'xmp:Thumbnails GCamera:\w+ Camera:Micro\w+ Camera:Motion\w+ Container:Directory hdrgm:\w+ '
    rb'apdi:\w+ HDRGainMap:\w+ xmpNote:HasExtendedXMP'
).split()
_PANORAMA = b'GPano:%sPixels'
# Chunks of text that are read elsewhere, or speak of another file.
_DROPPED_TEXTS = re.compile(
    r'software|xml:com\.adobe\.xmp|(raw profile type |thumb::|png:|exif:|date:|jpeg:|tiff:).*', re.I
)
_MAX_TEXTS = 2**24
# Keywords of PNG, and of programs that make images, to the tag in which others look for them.
_TEXT_TAGS = {
    'Title': Base.ImageDescription,
    'Description': Base.ImageDescription,
    'Author': Base.Artist,
    'Copyright': Base.Copyright,
    # As ComfyUI writes them in WebP, with the keyword before the text.
    'workflow': Base.Make,
    'prompt': Base.Model,
}
_WITH_KEYWORD = 'workflow', 'prompt'
# Both go into UserComment; the first is what A1111 looks for there.
_COMMENTS = 'parameters', 'Comment'


def read_metadata(image: Image.Image) -> tuple[bytes | None, bytes | None]:
    """Read EXIF and XMP of an opened image, without orientation; None for what is missing.

    The thumbnail and unreadable metadata are dropped: they are no reason to refuse an image.
    """
    exif = read_exif(image.getexif, image.size, _said_dpi(image))
    return exif, read_xmp(image.info.get('xmp'))


def read_exif(
    read: Callable[[], Image.Exif], size: tuple[int, int], dpi: tuple[float, ...] = (0.0,)
) -> bytes | None:
    """Read EXIF as :func:`read_metadata` does.

    Args:
        read: what gives the tags of the file.
        size: (width, height) of its image.
        dpi: dots per inch that it says beside EXIF; 0 if it does not.
    """
    try:
        return _clean_exif(read(), size, dpi)
    except Exception:  # whatever broken bytes make Pillow stumble over
        return None


def read_xmp(xmp: Any) -> bytes | None:
    """Clean an XMP packet as :func:`read_metadata` does."""
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if not isinstance(xmp, bytes):
        return None
    for name in _DROPPED_XMP:
        # As an attribute, and as an element with all that is in it.
        xmp = re.sub(rb'\s%s\s*=\s*("[^"]*"|\'[^\']*\')' % name, b'', xmp)
        xmp = _without_elements(xmp, name)
    return _set_xmp(xmp, b'tiff:Orientation', 1)


def _without_elements(xmp: bytes, name: bytes) -> bytes:
    """Remove elements from XMP, in time linear in its length."""
    opening, kept, place = re.compile(rb'<(%s)(?=[\s/>])' % name), [], 0
    while match := opening.search(xmp, place):
        end = xmp.find(b'>', match.end())
        if end > 0 and xmp[end - 1 : end] != b'/':
            closing = xmp.find(b'</' + match[1], end)
            end = xmp.find(b'>', closing) if closing > 0 else -1
        if end < 0:  # it is broken, and so is what follows
            break
        kept.append(xmp[place : match.start()])
        place = end + 1
    return b''.join(kept) + xmp[place:]


def scale_resolution(
    exif: bytes | None, factors: tuple[float, float], *, always: bool
) -> bytes | None:
    """Scale the resolution in EXIF for an image of the same extent with more pixels.

    Dots per inch are what somebody wants to print; they change only ``always``.
    """
    if not exif:
        return exif
    tags = Image.Exif()
    tags.load(exif)
    if always or tags.get(Base.ResolutionUnit) == 3:
        for tag, factor in zip(_RESOLUTION, factors):
            if tag in tags:
                tags[tag] = float(tags[tag]) * factor
    return _dump(tags, _details(tags, IFD.Exif), _details(tags, IFD.GPSInfo))


def read_texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    """Read the keywords and texts that hold for a larger image; needs loaded pixels."""
    texts = dict(getattr(image, 'text', {}))
    comment = image.info.get('comment')
    if comment and image.format in ('GIF', 'JPEG', 'MPO'):
        if isinstance(comment, bytes):
            try:
                comment = comment.decode()
            except UnicodeDecodeError:
                comment = comment.decode('latin-1')
        texts['Comment'] = comment
    kept = [
        (keyword, str(text))
        for keyword, text in texts.items()
        if not _DROPPED_TEXTS.fullmatch(keyword) and '\0' not in text
    ]
    return tuple(kept) if sum(len(text) for _, text in kept) < _MAX_TEXTS else ()


def png_significant_bits(file: BinaryIO) -> int | None:
    """Read the significant bits of a PNG from its chunk sBIT; None without one."""
    file.seek(8)
    while True:
        length, kind = int.from_bytes(file.read(4), 'big'), file.read(4)
        if kind == b'sBIT' and 1 <= length <= 4:
            bits = file.read(length)
            return max(bits[: length - (length in (2, 4))])
        # It stands before these.
        if kind in (b'PLTE', b'IDAT', b'') or length > _MAX_TEXTS:
            return None
        file.seek(length + 4, 1)


def read_dpi(exif: bytes | None) -> tuple[float, float] | None:
    """Horizontal and vertical dots per inch."""
    if not exif:
        return None
    tags = Image.Exif()
    tags.load(exif)
    try:
        x, y = (float(tags[tag]) for tag in _RESOLUTION[:2])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    inch = 2.54 if tags.get(Base.ResolutionUnit) == 3 else 1.0
    return (round(x * inch, 2), round(y * inch, 2)) if 0 < min(x, y) <= max(x, y) < 1e6 else None


def update_exif(
    exif: bytes | None,
    size: tuple[int, int],
    software: str | None,
    texts: Iterable[tuple[str, str]] = (),
) -> bytes | None:
    """EXIF for an image of this (width, height) that this software made; None if there is none.

    Args:
        exif: from :func:`read_metadata`.
        size: of the image now.
        software: a note on what made it.
        texts: what to say in tags that are free.
    """
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    if software:
        tags[Base.Software] = software
    details = _details(tags, IFD.Exif)
    _add_texts(tags, details, texts)
    if details:
        before = details.get(Base.ExifImageWidth, 0), details.get(Base.ExifImageHeight, 0)
        for tag in _PER_PIXEL:
            if tag in details and min(before) > 0:
                details[tag] = float(details[tag]) * max(size) / max(before)
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
    return _scale_panorama(xmp, size)


def _clean_exif(tags: Image.Exif, size: tuple[int, int], dpi: tuple[float, ...]) -> bytes | None:
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags[tag]
    if kept.get(Base.ResolutionUnit) == 1:  # none: the ratio of the sides of a pixel
        for tag in _RESOLUTION:
            kept.pop(tag, None)
    elif Base.XResolution in kept:
        kept.setdefault(Base.ResolutionUnit, 2)  # inch
    elif min(dpi) > 0:
        for tag, value in zip(_RESOLUTION, dpi):
            kept[tag] = round(float(value), 2)
        kept[Base.ResolutionUnit] = 2
    if str(kept.get(Base.ImageDescription)).startswith(_LAYOUTS):
        del kept[Base.ImageDescription]
    details = _details(tags, IFD.Exif)
    if details:  # whatever they say: what the file has
        details[Base.ExifImageWidth], details[Base.ExifImageHeight] = size
    return _dump(kept, details, _details(tags, IFD.GPSInfo))


def _said_dpi(image: Image.Image) -> tuple[float, ...]:
    """The resolution outside of EXIF; Pillow makes up 72 for a JPEG without one."""
    says = image.format in ('PNG', 'BMP') or image.info.get('jfif_unit')
    return image.info.get('dpi', (0.0,)) if says else (0.0,)


def _add_texts(tags: Image.Exif, details: dict[int, Any], texts: Iterable[tuple[str, str]]) -> None:
    by_keyword = dict(texts)
    for keyword, tag in _TEXT_TAGS.items():
        if keyword in by_keyword and tag not in tags:
            text = by_keyword[keyword]
            tags[tag] = f'{keyword}:{text}' if keyword in _WITH_KEYWORD else text
    for keyword in _COMMENTS:
        if keyword in by_keyword and Base.UserComment not in details:
            comment = by_keyword[keyword].encode('utf-16-be', 'replace')
            details[Base.UserComment] = b'UNICODE\0' + comment


def _scale_panorama(xmp: bytes, size: tuple[int, int]) -> bytes:
    """Sizes and places in pixels, of a panorama that the image is a part of."""
    for side, names in (
        (size[0], (b'CroppedAreaImageWidth', b'FullPanoWidth', b'CroppedAreaLeft')),
        (size[1], (b'CroppedAreaImageHeight', b'FullPanoHeight', b'CroppedAreaTop')),
    ):
        numbers = [_get_xmp(xmp, _PANORAMA % name) for name in names]
        if numbers[0]:
            for name, number in zip(names, numbers):
                if number is not None:
                    scaled = round(number * side / numbers[0])
                    xmp = _set_xmp(xmp, _PANORAMA % name, scaled)
    return xmp


def _details(tags: Image.Exif, ifd: int) -> dict[int, Any]:
    """The tags that hold for a larger image."""
    return {tag: value for tag, value in tags.get_ifd(ifd).items() if tag not in _DROPPED}


def _dump(tags: Image.Exif, details: dict[int, Any], gps: dict[int, Any]) -> bytes | None:
    clean = Image.Exif()
    for tag, value in tags.items():
        if tag not in (IFD.Exif, IFD.GPSInfo):
            clean[tag] = value
    for ifd, values in (IFD.Exif, details), (IFD.GPSInfo, gps):
        if values:
            clean[ifd] = values
    return clean.tobytes() if len(clean) else None


def _get_xmp(xmp: bytes, name: bytes) -> int | None:
    """A number, as an attribute or as an element."""
    match = re.search(rb'%s\s*(?:=\s*["\']|>)\s*(\d{1,9})\D' % name, xmp)
    return int(match[1]) if match else None


def _set_xmp(xmp: bytes, name: bytes, value: int) -> bytes:
    """Set a number that is there, as an attribute or as an element."""
    return re.sub(rb'(%s\s*(?:=\s*["\']|>)\s*)\d+' % name, rb'\g<1>%d' % value, xmp)
