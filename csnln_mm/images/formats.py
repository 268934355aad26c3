"""The formats that are read and written, and what they need beyond Pillow."""

import functools
import importlib
import importlib.util
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image

from csnln_mm.errors import UserError

# By content, whatever a file is called. Among Pillow's others is EPS, which Ghostscript runs. For
# those after the first five it imports all of its plugins.
INPUT_FORMATS = (
    *('PNG', 'JPEG', 'BMP', 'GIF', 'PPM'),
    *('AVIF', 'DDS', 'JPEG2000', 'PCX', 'QOI', 'SGI', 'TIFF', 'WEBP'),
)
# Has no signature: almost any content might be one.
_BY_NAME = {'.tga': 'TGA'}
_SUFFIXES = (
    '.apng .avif .bmp .dds .gif .j2k .jfif .jp2 .jpeg .jpg .pbm .pcx .pgm .png .pnm .ppm .qoi .sgi '
    '.tga .tif .tiff .webp'
).split()
# Format to the module that registers it with Pillow, its package, and the suffixes.
_PLUGINS = {
    'HEIF': ('pillow_heif', 'pillow-heif', ('.heic', '.heif', '.hif')),
    'JXL': ('pillow_jxl', 'pillow-jxl-plugin', ('.jxl',)),
}

# Suffix to Pillow's format and its options for as few losses as the format allows.
OUTPUT_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    # Half the time of Pillow's own choice, for files that are hardly larger.
    '.png': ('PNG', dict(compress_level=3)),
    '.apng': ('PNG', dict(compress_level=3)),
    '.jpg': ('JPEG', dict(quality=95, subsampling=0)),
    '.jpeg': ('JPEG', dict(quality=95, subsampling=0)),
    '.jfif': ('JPEG', dict(quality=95, subsampling=0)),
    '.avif': ('AVIF', dict(quality=90, subsampling='4:4:4')),
    '.bmp': ('BMP', {}),
    '.gif': ('GIF', {}),
    '.jxl': ('JXL', dict(lossless=True)),
    '.ppm': ('PPM', {}),
    '.tif': ('TIFF', {}),
    '.tiff': ('TIFF', {}),
    '.webp': ('WEBP', dict(lossless=True)),
}
# Animations that are read and written, with the suffix of results.
ANIMATED = {'AVIF': '.avif', 'GIF': '.gif', 'PNG': '.png', 'WEBP': '.webp'}
WITH_QUALITY = ('AVIF', 'JPEG', 'JXL', 'WEBP')
WITH_ALPHA = ('.png', '.tif', '.tiff', '.webp', '.apng', '.avif', '.gif', '.jxl')
WITH_16_BITS = ('.png', '.tif', '.tiff', '.apng', '.avif')
# The longest sides that the formats, or their encoders, can write.
MAX_SIDES = {
    '.avif': 65536,
    '.gif': 65535,
    '.jpg': 65500,
    '.jpeg': 65500,
    '.jfif': 65500,
    '.webp': 16383,
}
# Bits that are written of 16.
AVIF_BITS = 10

# What Pillow shows in 8 bits of these, or not in the scale of 16, OpenCV reads as it is.
_BY_OPENCV = ('AVIF', 'JPEG2000')
_JXL_SIZES = 9, 13, 18, 30


def has_plugin(kind: str) -> bool:
    """Whether files of this format can be read here, if it takes a plugin."""
    return kind not in _PLUGINS or importlib.util.find_spec(_PLUGINS[kind][0]) is not None


def how_to_read(kind: str) -> str:
    """Such as 'pip install pillow-heif'; '' for a format that no plugin reads."""
    return f'pip install {_PLUGINS[kind][1]}' if kind in _PLUGINS else ''


# What is looked for in folders.
_PLUGIN_SUFFIXES = [s for kind in _PLUGINS if has_plugin(kind) for s in _PLUGINS[kind][2]]
SUFFIXES = tuple(sorted([*_SUFFIXES, *_PLUGIN_SUFFIXES]))


@functools.cache
def load_plugin(kind: str) -> None:
    """Make Pillow read and write a format.

    Raises:
        UserError: if its plugin is not installed.
    """
    if not has_plugin(kind):
        name = 'JPEG XL' if kind == 'JXL' else 'HEIC'
        raise UserError(f'{name} needs a package that is not installed: {how_to_read(kind)}')
    if kind in _PLUGINS:
        plugin = importlib.import_module(_PLUGINS[kind][0])
        if kind == 'HEIF':
            plugin.register_heif_opener()


def formats_of(suffix: str, kind: str | None) -> tuple[str, ...]:
    """List the formats of Pillow to try for a file.

    Args:
        suffix: of its name.
        kind: what its first bytes say, if that is a format with a plugin.
    """
    if kind:
        load_plugin(kind)
        return (kind,)
    by_name = _BY_NAME.get(suffix.lower())
    return (*INPUT_FORMATS, by_name) if by_name else INPUT_FORMATS


def sample_bits(file: BinaryIO, image: Image.Image) -> int:
    """Bits per sample where Pillow reduces them to 8 or stretches them to 16; else 8."""
    if image.format == 'HEIF':
        return int(image.info.get('bit_depth', 8))
    if image.format == 'JXL':
        return jxl_header(file).bits
    if image.format not in _BY_OPENCV:
        return 8
    file.seek(0)
    head = file.read(2**16)
    if image.format == 'AVIF':
        flags = head[head.find(b'av1C') + 6 :][:1]
        high = bool(flags and flags[0] & 64)
        return 8 + 2 * high + 2 * (high and bool(flags[0] & 32))
    # After the marker of JPEG 2000's sizes come 38 bytes of them.
    depth = head[head.find(b'\xff\x4f\xff\x51') + 42 :][:1]
    return (depth[0] & 127) + 1 if depth else 8


def read_deep(file: BinaryIO, image: Image.Image, bits: int) -> np.ndarray | None:
    """Read pixels of more than 8 bits, scaled to 16 bits.

    Returns:
        uint16, [H, W] or [H, W, C], RGB or RGBA, not turned; None if the libraries cannot give it.
    """
    file.seek(0)
    if image.format == 'HEIF':
        pillow_heif = importlib.import_module('pillow_heif')
        data = np.asarray(pillow_heif.open_heif(file, convert_hdr_to_8bit=False))
        # Shifted to the left there, so that white is not 65535.
        data = data >> (16 - bits)
    elif image.format == 'JXL':
        import imagecodecs

        data = np.squeeze(imagecodecs.jpegxl_decode(file.read()))
        if data.dtype != np.uint16:
            return None
    else:
        decoded = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None or decoded.dtype != np.uint16:
            return None
        data = decoded[..., [2, 1, 0, 3][: decoded.shape[2]]] if decoded.ndim == 3 else decoded
    white = 2**bits - 1
    if bits == 16:
        return data  # the sums below take twice the memory of the image
    return ((data.astype(np.uint32) * 65535 + white // 2) // white).astype(np.uint16)


def encode_deep_avif(data: np.ndarray, quality: int, metadata: dict[str, bytes | None]) -> bytes:
    """Encode an AVIF of 10 bits.

    Args:
        data: uint16, [H, W] or [H, W, C], BGR or BGRA as OpenCV has it.
        quality: 1 to 100.
        metadata: ``exif``, ``xmp`` and ``icc_profile``.

    Raises:
        ValueError: if OpenCV cannot.
    """
    if not hasattr(cv2, 'imencodeWithMetadata'):
        raise ValueError('an AVIF of more than 8 bits takes OpenCV 4.12 or later')
    kinds = dict(
        exif=cv2.IMAGE_METADATA_EXIF,
        xmp=cv2.IMAGE_METADATA_XMP,
        icc_profile=cv2.IMAGE_METADATA_ICCP,
    )
    kept = {kinds[name]: content for name, content in metadata.items() if content}
    white = 2**AVIF_BITS - 1
    encoded, avif = cv2.imencodeWithMetadata(
        '.avif',
        ((data.astype(np.uint32) * white + 32767) // 65535).astype(np.uint16),
        list(kept),
        [np.frombuffer(content.removeprefix(b'Exif\0\0'), np.uint8) for content in kept.values()],
        [cv2.IMWRITE_AVIF_DEPTH, AVIF_BITS, cv2.IMWRITE_AVIF_QUALITY, quality],
    )
    if not encoded:
        raise ValueError('OpenCV cannot encode it')
    return avif.tobytes()


class JxlHeader(NamedTuple):
    """The header of a JPEG XL: (width, height), None if unknown; and bits per sample."""

    size: tuple[int, int] | None = None
    is_animated: bool = False
    bits: int = 8


def jxl_header(file: BinaryIO) -> JxlHeader:
    """Parse the header of a JPEG XL.

    The plugin decodes the whole file to find its size, and shows the last frame of an animation.
    The position in the file is kept.
    """
    place = file.tell()
    file.seek(0)
    head = file.read(2**16)
    file.seek(place)
    if not head.startswith(b'\xff\x0a'):  # in boxes
        box = head.find(b'jxlc')
        if box < 0:
            box = head.find(b'jxlp') + 4
        head = head[box + 4 :]
    if not head.startswith(b'\xff\x0a') or len(head) < 12:
        return JxlHeader()
    bits = int.from_bytes(head[2:34], 'little')

    def take(count: int) -> int:
        nonlocal bits
        value = bits & (2**count - 1)
        bits >>= count
        return value

    def side(small: int) -> int:
        return 8 * (take(5) + 1) if small else take(_JXL_SIZES[take(2)]) + 1

    def sides() -> tuple[int, int]:
        small = take(1)
        height = side(small)
        ratio = take(3)
        if not ratio:
            return side(small), height
        over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * over // under, height

    size = sides()
    if take(1):  # all as usual
        return JxlHeader(size)
    if take(1):
        take(3)  # orientation
        if take(1):
            sides()  # that it is to be shown in
        if take(1):  # a preview, which nobody makes
            return JxlHeader(size)
        if take(1):
            return JxlHeader(size, is_animated=True)
    is_float, depth = take(1), take(2)
    number = (8, 10, 12)[depth] if depth < 3 else take(6) + 1
    return JxlHeader(size, bits=8 if is_float else number)
