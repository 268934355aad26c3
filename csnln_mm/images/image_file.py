"""Picture files of every kind, read to and written from plain arrays."""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps

from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write
from csnln_mm.images.image_io import FORMATS

__all__ = [
    'OUTPUT_FORMATS',
    'Picture',
    'SUFFIXES',
    'check_format',
    'read_picture',
    'read_size',
    'write_picture',
]

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')

# Suffix to Pillow's format and its options for as few losses as the format allows.
OUTPUT_FORMATS = {
    '.png': ('PNG', {}),
    '.jpg': ('JPEG', dict(quality=95, subsampling=0)),
    '.jpeg': ('JPEG', dict(quality=95, subsampling=0)),
    '.bmp': ('BMP', {}),
    '.tif': ('TIFF', dict(compression='tiff_adobe_deflate')),
    '.tiff': ('TIFF', dict(compression='tiff_adobe_deflate')),
    '.webp': ('WEBP', dict(lossless=True)),
}
_WITH_ALPHA = ('.png', '.tif', '.tiff', '.webp')
_WITH_16_BITS = ('.png', '.tif', '.tiff')

# Tags of TIFF, the first also of EXIF.
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_PLANAR_CONFIGURATION = 284
_EXTRA_SAMPLES = 338


class Picture(NamedTuple):
    """A picture, upright.

    Attributes:
        colour: uint8 or uint16, [H, W] grey or [H, W, 3] RGB.
        alpha: of the same dtype, [H, W], not premultiplied; None where there is none.
        icc_profile: that ``colour`` is meant in; None means sRGB.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.colour.shape[1], self.colour.shape[0]


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as the file's header says, before EXIF rotation.

    Raises:
        UserError: if this is not a picture.
    """
    with _open(path) as image:
        return image.size


def read_picture(path: Path) -> Picture:
    """Read a PNG, JPEG, BMP, TIFF or WebP file.

    Rotated as its EXIF data say; palettes resolved; of an animation or a multi-page TIFF the
    first picture. 16 bits stay 16 bits; CMYK and Lab become 8-bit sRGB.

    Raises:
        UserError: if the file cannot be read as a picture; says why.
    """
    with _open(path) as image:
        try:
            return _read_16_bits(path, image) if _has_16_bits(path, image) else _read_8_bits(image)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # decoders raise whatever broken bytes make them stumble over
            raise UserError(f'cannot read {path}: {error}') from error


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture in the format of the file's suffix, whole or not at all.

    JPEG at quality 95 with full colour resolution, everything else without losses.

    Args:
        path: missing folders are made.
        picture: what to write.

    Raises:
        UserError: if the format cannot hold the picture, or the file cannot be written.
    """
    check_format(path, picture)
    suffix = path.suffix.lower()
    deep = picture.colour.dtype == np.uint16
    if deep and picture.alpha is not None and picture.colour.ndim == 2:
        # OpenCV writes no grey with alpha, Pillow reads none of 16 bits. A profile of grey goes.
        picture = Picture(np.stack([picture.colour] * 3, -1), picture.alpha)
    try:
        if not deep:
            data = _encode_8_bits(picture, *OUTPUT_FORMATS[suffix])
        elif suffix == '.png':
            data = _encode_16_bit_png(picture)
        else:
            data = _encode_16_bit_tiff(picture)
        atomic_write(path, data)
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror or error}') from error
    except (ValueError, cv2.error) as error:
        raise UserError(f'cannot write {path}: {error}') from error


def check_format(path: Path, picture: Picture) -> None:
    """Raise UserError unless the format of the file's suffix can hold the picture."""
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_FORMATS:
        raise UserError(f'{path}: unknown format; use one of {", ".join(OUTPUT_FORMATS)}')
    if picture.alpha is not None and suffix not in _WITH_ALPHA:
        raise UserError(
            f'{path}: {suffix} cannot hold transparency; use one of {", ".join(_WITH_ALPHA)}'
        )
    if picture.colour.dtype == np.uint16 and suffix not in _WITH_16_BITS:
        raise UserError(
            f'{path}: {suffix} cannot hold 16 bits; use one of {", ".join(_WITH_16_BITS)}'
        )


def _open(path: Path) -> Image.Image:
    if not path.is_file():
        raise UserError(f'{path} does not exist' if not path.exists() else f'{path} is no file')
    if path.stat().st_size == 0:
        raise UserError(f'{path} is empty')
    try:
        with warnings.catch_warnings():
            # Large pictures are welcome; absurd ones raise an error.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            return Image.open(path, formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise UserError(f'{path} is not a picture, or of an unknown kind') from error
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error
    except Exception as error:
        raise UserError(f'cannot read {path}: {error}') from error


def _has_16_bits(path: Path, image: Image.Image) -> bool:
    """Pillow reads colour of 16 bits as 8 without saying so: ask the header."""
    if image.mode.startswith('I;16'):
        return True
    if image.format == 'PNG':
        with open(path, 'rb') as file:
            return file.read(25)[24] == 16  # bit depth in the IHDR chunk, always the first
    if image.format == 'TIFF' and image.mode in ('RGB', 'RGBA', 'RGBX'):
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))) == 16
    return False


def _read_16_bits(path: Path, image: Image.Image) -> Picture:
    image.load()  # tells a broken file in one line, where OpenCV writes several by itself
    tags = image.tag_v2 if image.format == 'TIFF' else {}
    if tags.get(_PLANAR_CONFIGURATION) == 2 and not image.mode.startswith('I;16'):
        data = _read_planar_tiff(path)
    else:
        data = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if data is None or data.dtype != np.uint16:
            raise UserError(f'cannot read {path}: broken, or 16 bits in an unknown arrangement')
        if data.ndim == 3:
            data = data[..., [2, 1, 0, 3][: data.shape[2]]]
        if image.format == 'PNG':  # OpenCV turns TIFF upright itself
            data = _turn_upright(data, image.getexif().get(_ORIENTATION, 1))
    colour, alpha = data, None
    if data.ndim == 3:
        colour = data[..., 0] if image.mode == 'LA' else data[..., :3]  # OpenCV makes it RGBA
        # A fourth channel of a TIFF that does not call it transparency is none.
        if data.shape[2] == 4 and (image.format == 'PNG' or image.mode == 'RGBA'):
            alpha = data[..., 3]
    elif 'transparency' in image.info:  # the one transparent grey of a PNG
        alpha = np.where(data == image.info['transparency'], 0, 65535).astype(np.uint16)
    if tags.get(_PHOTOMETRIC) == 0:  # 0 is white
        colour = 65535 - colour
    if alpha is not None and 1 in tags.get(_EXTRA_SAMPLES, ()):
        colour = _divide_by_alpha(colour, alpha)
    alpha = None if alpha is None else np.ascontiguousarray(alpha)
    return Picture(np.ascontiguousarray(colour), alpha, image.info.get('icc_profile'))


def _read_planar_tiff(path: Path) -> np.ndarray:
    """uint16, [H, W, C] RGB or RGBA, upright: one channel after the other, unknown to OpenCV."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        orientation = page.tags.valueof(_ORIENTATION, 1)
        return _turn_upright(np.moveaxis(page.asarray(), 0, -1), orientation)


def _divide_by_alpha(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What a colour was before it was multiplied by its opacity; 0 where nothing shows."""
    opacity = np.maximum(alpha, 1)[..., None] / 65535.0
    return (colour / opacity).round().clip(0, 65535).astype(np.uint16)


def _turn_upright(data: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        data = data.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        data = data[::-1]
    if orientation in (2, 3, 6, 7):
        data = data[:, ::-1]
    return data


def _read_8_bits(image: Image.Image) -> Picture:
    profile = image.info.get('icc_profile')
    image = ImageOps.exif_transpose(image)
    if image.mode in ('CMYK', 'LAB', 'YCbCr', 'HSV'):
        image, profile = _to_srgb(image, profile)
    if image.mode in ('F', 'I'):
        raise UserError(
            'pixels of 32 bits, or with a sign, are not supported; convert the '
            'picture to 8 or 16 bits first'
        )
    alpha = None
    if image.has_transparency_data:
        grey = image.mode in ('L', 'LA', 'La', '1')
        image = image.convert('RGBA')
        alpha = np.asarray(image.getchannel('A'))
        image = image.convert('RGB')
        if grey:
            image = image.getchannel('R')
    elif image.mode in ('L', '1'):
        image = image.convert('L')
    else:
        image = image.convert('RGB')
    return Picture(np.asarray(image), alpha, profile)


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, None]:
    """By the embedded profile where it serves; its profile does not describe RGB."""
    srgb = ImageCms.createProfile('sRGB')
    try:
        if image.mode == 'LAB':
            return ImageCms.profileToProfile(
                image, ImageCms.createProfile('LAB'), srgb, outputMode='RGB'
            ), None
        if profile and image.mode == 'CMYK':
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, srgb, outputMode='RGB'), None
    except (ImageCms.PyCMSError, OSError, ValueError):
        pass  # a broken profile is none
    return image.convert('RGB'), None


def _encode_8_bits(picture: Picture, pillow_format: str, options: dict) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(picture.colour))
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    if picture.icc_profile and pillow_format != 'BMP':
        options = dict(options, icc_profile=picture.icc_profile)
    file = io.BytesIO()
    image.save(file, pillow_format, **options)
    return file.getvalue()


def _encode_16_bit_png(picture: Picture) -> bytes:
    data = picture.colour[..., ::-1] if picture.colour.ndim == 3 else picture.colour
    if picture.alpha is not None:
        data = np.dstack([data, picture.alpha])
    encoded, png = cv2.imencode('.png', np.ascontiguousarray(data))
    if not encoded:
        raise ValueError('OpenCV cannot encode it')
    png = png.tobytes()
    if not picture.icc_profile:
        return png
    # OpenCV writes no profiles: Pillow makes the chunk, and it goes after the first, the IHDR.
    file = io.BytesIO()
    Image.new('L', (1, 1)).save(file, 'PNG', icc_profile=picture.icc_profile)
    profiled = file.getvalue()
    start = profiled.index(b'iCCP') - 4
    stop = start + 12 + int.from_bytes(profiled[start : start + 4], 'big')
    after_header = 8 + 25
    return png[:after_header] + profiled[start:stop] + png[after_header:]


def _encode_16_bit_tiff(picture: Picture) -> bytes:
    import tifffile

    data = picture.colour
    if picture.alpha is not None:
        data = np.dstack([data, picture.alpha])
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.ascontiguousarray(data),
        photometric='minisblack' if data.ndim == 2 else 'rgb',
        extrasamples=['unassalpha'] if picture.alpha is not None else None,
        compression='zlib',
        iccprofile=picture.icc_profile,
    )
    return file.getvalue()
