"""Image files of every kind, read to and written from plain arrays."""

import io
import math
import struct
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    TiffTags,
)

from csnln_mm import limits
from csnln_mm.device import free_main_memory
from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write
from csnln_mm.images.foreign_formats import identify, raw_file
from csnln_mm.images.formats import (
    MAX_SIDES,
    OUTPUT_FORMATS,
    SUFFIXES,
    WITH_16_BITS,
    WITH_ALPHA,
    WITH_QUALITY,
    encode_deep_avif,
    formats_of,
    jxl_size,
    load_plugin,
    read_deep,
    sample_bits,
)
from csnln_mm.images.image_data import ImageData, ImageHeader, as_bands
from csnln_mm.images.metadata import read_dpi, read_metadata, read_texts, update_exif, update_xmp
from csnln_mm.images.value_range import find_range, full_range

_WITHOUT_PROFILE = ('BMP', 'GIF', 'JXL', 'PPM')

# Of a segment of JPEG, less its own length and name.
_MAX_JPEG_EXIF = 65533
_MAX_JPEG_XMP = 65533 - 29

_GREY_MODES = ('L', 'LA', 'La', '1')
_ORIENTATION = ExifTags.Base.Orientation
_DNG_VERSION = 50706

# Mean step of JPEG's quantization of luma that harms an image: that of quality 98 is 2.5 ...
_VISIBLE_QUANTIZATION = 2.5


def list_images(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The image files of a folder, not of its subfolders, sorted by name.

    Raises:
        UserError: if there is no such folder, or two of them differ by their suffixes alone: what
            is made of them would have the same name.
    """
    if not folder.is_dir():
        raise UserError(f'{folder} is not a folder')
    stems: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and path.is_file():
            if path.stem in stems:
                raise UserError(f'{stems[path.stem]} and {path.name} have the same name')
            stems[path.stem] = path
    return list(stems.values())


def read_header(path: str | Path) -> ImageHeader:
    """Read what the header of an image file says.

    Raises:
        UserError: as :func:`read_image` does, for all that a header shows.
    """
    with _open_file(path) as file, _open_image(file, path) as image, _reading(path):
        return _read_header(file, image, path)


def read_image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of :func:`read_header`."""
    return read_header(path).size


def read_image(path: str | Path) -> ImageData:
    """Read an image file of one of :data:`csnln_mm.images.formats.INPUT_FORMATS`, or of a plugin.

    The image is rotated as its EXIF data say, palettes are resolved, and of an animation or a
    multi-page TIFF the first image is read. 10, 12 and 16 bits become 16 bits; CMYK and Lab become
    8-bit sRGB.

    Raises:
        UserError: if the file is missing, cut off, damaged or no image, or has more than 179
            million pixels (:data:`csnln_mm.limits.IMAGE_PIXELS`), or decoding it takes more time or
            memory than there is for its size; one line that names it.
    """
    with _open_file(path) as file, _open_image(file, path) as image, _reading(path):
        header, size = _read_header(file, image, path), image.size
        _check_costs(file, image, path)
        image.load()  # refuses a broken file, which OpenCV would fill with grey
        if image.size != size:
            raise UserError(f'{path} is damaged: it decodes to another size than its header says')
        exif, xmp = read_metadata(image)
        texts = read_texts(image)
        decoded = _read_16_bits(file, image, path) if header.deep else _read_8_bits(image)
        _check_decoded(decoded, _upright(size, image, image.getexif()), path)
        return decoded._replace(exif=exif, xmp=xmp, texts=texts)


def read_rgb(path: str | Path) -> np.ndarray:
    """As :func:`read_image`, reduced to uint8 RGB without alpha, [H, W, 3]."""
    return as_8_bit_rgb(read_image(path).pixels)


def as_8_bit_rgb(image: ImageData | np.ndarray) -> np.ndarray:
    """An image as uint8, [H, W, 3]: grey as three equal channels, of bands the first three.

    Args:
        image: its pixels, of which all values of the type count; or an ``ImageData``, of which what
            :func:`~csnln_mm.images.value_range.find_range` finds does.
    """
    if isinstance(image, ImageData):
        pixels, values = image.pixels, find_range(image, None)
        if values.origin != 'full':
            pixels = _to_8_bits(as_bands(pixels), np.array(values.low), np.array(values.high))
        return as_8_bit_rgb(pixels)
    pixels = image[..., :3] if image.ndim == 3 and image.shape[2] >= 3 else image
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] < 3 else pixels
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        pixels = _to_8_bits(pixels, *full_range(pixels.dtype))
    return np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels


def _to_8_bits(pixels: np.ndarray, low: Any, high: Any) -> np.ndarray:
    values = (pixels.astype(np.float32) - low) * (255 / (high - low))
    return np.nan_to_num(values, posinf=255, neginf=0).round().clip(0, 255).astype(np.uint8)


def write_image(
    path: Path,
    image: ImageData | np.ndarray,
    *,
    quality: int | None = None,
    software: str | None = None,
    strip: bool = False,
) -> None:
    """Write an image in the format of the file's suffix, completely or not at all.

    Args:
        path: missing folders are made.
        image: what to write, or its pixels alone.
        quality: see :func:`encode_image`, as the others.
        software: a note on what made it.
        strip: leave out all metadata.

    Raises:
        UserError: if the format cannot hold the image, or the file cannot be written.
    """
    try:
        data = encode_image(image, path, quality=quality, software=software, strip=strip)
        atomic_write(path, data)
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror or error}') from error
    except (ValueError, cv2.error) as error:
        raise UserError(f'cannot write {path}: {error}') from error


def encode_image(
    image: ImageData | np.ndarray,
    path: Path,
    *,
    quality: int | None = None,
    software: str | None = None,
    strip: bool = False,
) -> bytes:
    """The content of an image file.

    Profile, EXIF, XMP and texts are kept where the format has room for them (docs/upscaling.md has
    the table), with what depends on the size corrected. Where a format has no profile, the pixels
    become sRGB.

    Args:
        image: what to write, or its pixels alone.
        path: whose suffix says the format.
        quality: 1 to 100, of JPEG (95 by default), AVIF (90), both always with full colour
            resolution, WebP and JPEG XL (both without losses by default); the others have no
            losses, but for the 256 colours of a GIF.
        software: a note on what made it, as EXIF's ``Software`` and as a text chunk of a PNG.
        strip: leave out profile, EXIF, XMP, texts and the note.

    Raises:
        UserError: if the format cannot hold the image.
        ValueError: if the quality is none, or the image cannot be encoded.
    """
    if not isinstance(image, ImageData):
        image = ImageData(image)
    check_format(path, image.header)
    pillow_format, options = OUTPUT_FORMATS[path.suffix.lower()]
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f'the quality must be 1 to 100, not {quality}')
    if quality is not None and pillow_format in WITH_QUALITY:
        options = dict(options, quality=quality)
        options.pop('lossless', None)
    image, software = _describe(image, pillow_format, software, strip)
    deep = image.pixels.dtype == np.uint16
    if deep and image.alpha is not None and image.pixels.ndim == 2:
        # OpenCV writes no grey with alpha, Pillow reads none of 16 bits. A profile of grey goes.
        pixels = np.stack([image.pixels] * 3, -1)
        image = image._replace(pixels=pixels, icc_profile=None)
    if pillow_format == 'TIFF':
        return _encode_tiff(image)
    if deep and pillow_format == 'AVIF':
        metadata = dict(exif=image.exif, xmp=image.xmp, icc_profile=image.icc_profile)
        return encode_deep_avif(_for_opencv(image), options['quality'], metadata)
    if deep:
        return _encode_16_bit_png(image, software)
    return _save(to_pillow(image, pillow_format), pillow_format, image, software, **options)


def to_pillow(image: ImageData, pillow_format: str) -> Image.Image:
    """The pixels of an image of 8 bits, in a mode that the format has."""
    pillow_image = Image.fromarray(image.pixels)
    if image.alpha is not None:
        pillow_image.putalpha(Image.fromarray(image.alpha))
    return _to_palette(pillow_image) if pillow_format == 'GIF' else pillow_image


def _to_palette(image: Image.Image) -> Image.Image:
    """256 colours, or 255 and one that is transparent where less than half is visible."""
    if not image.has_transparency_data:
        return image if image.mode == 'L' else image.quantize(256)
    hidden = image.getchannel('A').point(lambda alpha: 255 * (alpha < 128))
    image = image.convert('RGB').quantize(255)
    image.paste(255, mask=hidden)
    image.info['transparency'] = 255
    return image


def check_format(path: Path, header: ImageHeader) -> None:
    """Raise UserError unless the format of the file's suffix can hold such an image."""
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_FORMATS:
        raise UserError(f'{path}: unknown format; use one of {", ".join(OUTPUT_FORMATS)}')
    load_plugin(OUTPUT_FORMATS[suffix][0])
    if header.alpha and suffix not in WITH_ALPHA:
        raise UserError(
            f'{path}: {suffix} cannot hold transparency; use one of {", ".join(WITH_ALPHA)}'
        )
    if header.deep and suffix not in WITH_16_BITS:
        raise UserError(
            f'{path}: {suffix} cannot hold 16 bits; use one of {", ".join(WITH_16_BITS)}'
        )
    width, height = header.size
    if max(width, height) > MAX_SIDES.get(suffix, math.inf):
        raise UserError(
            f'{path}: {suffix} holds up to {MAX_SIDES[suffix]} pixels a side, not '
            f'{width}x{height}; use one of {", ".join(WITH_16_BITS)}'
        )


class _TimedFile(io.BufferedReader):
    """A file that ends the work of a decoder that takes far longer than its image is large."""

    path: str | Path = ''
    deadline = math.inf  # in seconds that this thread has computed

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self.deadline:
            raise UserError(f'{self.path} is refused: decoding it takes too long for its size')
        return super().read(size)


def _check_costs(file: _TimedFile, image: Image.Image, path: str | Path) -> None:
    """Refuse what takes too much time or memory to decode; from here on the time is counted."""
    pixels = math.prod(image.size)
    if image.format == 'JPEG':
        place = file.tell()
        file.seek(0)
        scans = file.read().count(b'\xff\xda')  # within a scan, 0 follows each ff
        file.seek(place)
        if scans > limits.JPEG_SCANS:
            raise UserError(f'{path} is refused: it has {scans} scans')
    if pixels >= limits.LARGE_IMAGE_PIXELS:
        needed, free = pixels * limits.IMAGE_BYTES_PER_PIXEL, free_main_memory()
        if free is not None and needed > free:
            raise UserError(
                f'{path}: reading {image.size[0]}x{image.size[1]} pixels takes about '
                f'{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free'
            )
    seconds = limits.DECODING_SECONDS_PER_MEGAPIXEL * pixels / 1e6
    file.path, file.deadline = path, time.thread_time() + limits.DECODING_SECONDS + seconds


def _open_file(path: str | Path) -> _TimedFile:
    path = Path(path)
    try:
        if not path.is_file():
            raise UserError(f'{path} is not a file' if path.exists() else f'{path} does not exist')
        file = _TimedFile(path.open('rb', buffering=0))
        if not file.peek(1):
            raise UserError(f'{path} is empty')
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error
    return file


def _open_image(file: BinaryIO, name: str | Path) -> Image.Image:
    with _reading(name):
        kind = identify(file, name)
        if kind == 'JXL':
            size = jxl_size(file)
            if size is None or math.prod(size) > limits.IMAGE_PIXELS:
                raise UserError(f'{name} is refused: it has too many pixels, or is damaged')
        return Image.open(file, formats=formats_of(Path(name).suffix, kind))


@contextmanager
def _reading(name: str | Path) -> Iterator[None]:
    """Make one line that names the file of whatever decoders raise, and no warnings."""
    try:
        with warnings.catch_warnings():
            # Large images are welcome (absurd ones raise an error), and so are broken EXIF data.
            warnings.simplefilter('ignore')
            yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f'{name} cannot be read: there is not enough memory') from error
    except Image.DecompressionBombError as error:
        raise UserError(f'{name} is refused: {error}') from error
    except OSError as error:
        # Without a number it is about the content.
        reason = f'cannot be read: {error.strerror}' if error.errno else 'is damaged or no image'
        raise UserError(f'{name} {reason}') from error
    except Exception as error:  # decoders raise whatever broken bytes make them stumble over
        raise UserError(f'{name} is damaged or no image') from error


def _read_header(file: BinaryIO, image: Image.Image, name: str | Path) -> ImageHeader:
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _DNG_VERSION in image.tag_v2:
        raise raw_file(name)
    if image.mode in ('F', 'I'):
        raise UserError(
            f'{name}: pixels of 32 bits, or with a sign, are not supported; convert it to 8 or '
            '16 bits first'
        )
    # Behind the pixels, where a PNG may have it too, Pillow would have to decode them to find it.
    early = image.format != 'PNG' or 'exif' in image.info
    exif = image.getexif() if early else Image.Exif()
    software = image.info.get('Software') or exif.get(ExifTags.Base.Software)
    deep = _has_16_bits(file, image)
    return ImageHeader(
        _upright(image.size, image, exif),
        deep,
        image.has_transparency_data,
        software if isinstance(software, str) else '',
        _is_lossy(file, image),
        (1,) if image.mode in _GREY_MODES or image.mode.startswith('I;16') else (3,),
        'uint16' if deep else 'uint8',
    )


def _is_lossy(file: BinaryIO, image: Image.Image) -> bool:
    """Whether the compression of an image has visibly changed it, by the header."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        luma = image.quantization.get(0, [])
        return sum(luma) > _VISIBLE_QUANTIZATION * len(luma)
    if image.format == 'WEBP':
        place = file.tell()
        file.seek(12)
        start = file.read(4096)
        file.seek(place)
        # Behind it or behind its chunk of features, VP8 without losses is called VP8L.
        return b'VP8 ' in start
    return image.info.get('compression') == 'jpeg'  # a TIFF


def _upright(size: tuple[int, int], image: Image.Image, exif: Image.Exif) -> tuple[int, int]:
    """(width, height) after rotation by EXIF."""
    # Pillow turns a TIFF, and its size, by itself.
    turned = image.format != 'TIFF' and exif.get(_ORIENTATION) in (5, 6, 7, 8)
    width, height = size
    return (height, width) if turned else size


def _check_decoded(image: ImageData, size: tuple[int, int], name: str | Path) -> None:
    """Refuse what a decoder returned unless it is what the header promised."""
    shape, pixels, alpha = size[::-1], image.pixels, image.alpha
    if (
        pixels.shape not in (shape, (*shape, 3))
        or pixels.dtype not in (np.uint8, np.uint16)
        or (alpha is not None and (alpha.shape != shape or alpha.dtype != pixels.dtype))
    ):
        raise UserError(
            f'{name} is damaged: it decodes to {pixels.dtype} of the shape {pixels.shape}, and its '
            f'header says {size[0]}x{size[1]} pixels'
        )


def _has_16_bits(file: BinaryIO, image: Image.Image) -> bool:
    """Pillow reads colour of 16 bits as 8 without saying so: ask the header."""
    if image.mode.startswith('I;16'):
        return True
    if image.format == 'PNG':
        file.seek(0)
        return file.read(25)[24] == 16  # bit depth in the IHDR chunk, always the first
    if sample_bits(file, image) > 8:
        return True
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode in ('RGB', 'RGBA', 'RGBX'):
        return max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))) == 16
    return False


def _read_16_bits(file: BinaryIO, image: Image.Image, name: str | Path) -> ImageData:
    file.seek(0)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    planar = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
    bits = sample_bits(file, image)
    if bits > 8:
        data = read_deep(file, image, bits)
        if data is None:
            raise UserError(f'{name}: {bits} bits in an arrangement that is not supported')
        data = _turn_upright(data, image.getexif().get(_ORIENTATION, 1))
    elif image.format == 'JXL':
        data = np.asarray(image)
    elif planar and not image.mode.startswith('I;16'):
        data = _read_planar_tiff(file, image.size, name)
    else:
        data = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        if data is None or data.dtype != np.uint16:
            raise UserError(f'{name}: 16 bits in an arrangement that is not supported')
        if data.ndim == 3:
            data = data[..., [2, 1, 0, 3][: data.shape[2]]]
        if image.format == 'PNG':  # OpenCV turns TIFF upright itself
            data = _turn_upright(data, image.getexif().get(_ORIENTATION, 1))
    colour, alpha = data, None
    if data.ndim == 3:
        colour = data[..., 0] if image.mode == 'LA' else data[..., :3]  # OpenCV makes it RGBA
        # A fourth channel of a TIFF that does not call it transparency is none.
        if data.shape[2] == 4 and (image.format != 'TIFF' or image.mode == 'RGBA'):
            alpha = data[..., 3]
    elif 'transparency' in image.info:  # the one transparent grey of a PNG
        alpha = np.where(data == image.info['transparency'], 0, 65535).astype(np.uint16)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # 0 is white
        colour = 65535 - colour
    if alpha is not None and 1 in tags.get(TiffImagePlugin.EXTRASAMPLES, ()):
        colour = _divide_by_alpha(colour, alpha)
    alpha = None if alpha is None else np.ascontiguousarray(alpha)
    return ImageData(np.ascontiguousarray(colour), alpha, image.info.get('icc_profile'))


def _read_planar_tiff(file: BinaryIO, size: tuple[int, int], name: str | Path) -> np.ndarray:
    """uint16, [H, W, C] RGB or RGBA, upright: one channel after the other, unknown to OpenCV."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        channels, *sides = page.shape
        if channels not in (3, 4) or sorted(sides) != sorted(size):
            raise UserError(f'{name}: planes of the shape {page.shape} are not supported')
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


def _read_8_bits(image: Image.Image) -> ImageData:
    profile = image.info.get('icc_profile')
    image = ImageOps.exif_transpose(image)
    if image.mode in ('CMYK', 'LAB', 'YCbCr', 'HSV'):
        image, profile = _to_srgb(image, profile), None
    grey, alpha = image.mode in _GREY_MODES, None
    if image.has_transparency_data:
        image = image.convert('RGBA')
        alpha = np.asarray(image.getchannel('A'))
    rgb = np.asarray(image.convert('RGB'))
    return ImageData(rgb[..., 0].copy() if grey else rgb, alpha, profile)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """By the embedded profile where it serves."""
    source = None
    try:
        if image.mode == 'LAB':
            source = ImageCms.createProfile('LAB')
        elif profile and image.mode in ('CMYK', 'RGB'):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source:
            srgb = ImageCms.createProfile('sRGB')
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode='RGB')
            assert converted is not None  # as only conversion in place returns nothing
            return converted
    except (ImageCms.PyCMSError, OSError, ValueError):
        pass  # a broken profile is none
    return image.convert('RGB')


def _describe(
    image: ImageData, pillow_format: str, software: str | None, strip: bool
) -> tuple[ImageData, str | None]:
    """The image with the metadata, and the note, that go into a file of this format."""
    if image.icc_profile and not strip and pillow_format in _WITHOUT_PROFILE:
        srgb = _to_srgb(Image.fromarray(image.pixels), image.icc_profile)
        image = image._replace(pixels=np.asarray(srgb))
    if strip or pillow_format == 'PPM':
        return ImageData(image.pixels, image.alpha), None
    if pillow_format in _WITHOUT_PROFILE:
        image = image._replace(icc_profile=None)
    texts = () if pillow_format in ('PNG', 'GIF') else image.texts
    exif = update_exif(image.exif, image.size, software, texts)
    xmp = update_xmp(image.xmp, image.size)
    if pillow_format == 'JPEG':
        for kept in image.exif, None:
            if exif and len(exif) > _MAX_JPEG_EXIF:
                exif = update_exif(kept, image.size, software)
        if xmp and len(xmp) > _MAX_JPEG_XMP:
            xmp = None
    return image._replace(exif=exif, xmp=xmp), software


def _save(
    pillow_image: Image.Image,
    pillow_format: str,
    image: ImageData,
    software: str | None,
    **options: Any,
) -> bytes:
    """A file of Pillow's, with the profile and the metadata of the image."""
    options |= described_by(image, pillow_format, software)
    file = io.BytesIO()
    pillow_image.save(file, pillow_format, **options)
    return file.getvalue()


def described_by(
    image: ImageData, pillow_format: str, software: str | None = None
) -> dict[str, Any]:
    """Options of Pillow's ``save`` for the metadata of an image, as far as the format has them."""
    options: dict[str, Any] = {}
    resolution = read_dpi(image.exif)
    if pillow_format == 'BMP':
        # Without, Pillow would write 96.
        return dict(dpi=resolution or (0, 0))
    if pillow_format == 'GIF':
        comments = [text for keyword, text in image.texts if keyword == 'Comment']
        return dict(comment=comments[0].encode()[:4096]) if comments else {}
    if resolution and pillow_format in ('PNG', 'JPEG'):
        options['dpi'] = resolution
    if image.icc_profile:
        options['icc_profile'] = image.icc_profile
    if image.exif:
        options['exif'] = image.exif
    if pillow_format == 'PNG':
        texts = PngImagePlugin.PngInfo()
        if software:
            texts.add_text('Software', software)
        for keyword, text in image.texts:
            add_text = texts.add_text if text.isascii() else texts.add_itxt
            add_text(keyword, text, zip=len(text) > 1024)
        if image.xmp:
            texts.add_itxt('XML:com.adobe.xmp', image.xmp.decode('utf-8', 'replace'))
        options['pnginfo'] = texts
    elif image.xmp:
        options['xmp'] = image.xmp
    return options


def _for_opencv(image: ImageData) -> np.ndarray:
    """[H, W], or [H, W, C] of BGR or BGRA."""
    data = image.pixels[..., ::-1] if image.pixels.ndim == 3 else image.pixels
    if image.alpha is not None:
        data = np.dstack([data, image.alpha])
    return np.ascontiguousarray(data)


def _encode_16_bit_png(image: ImageData, software: str | None) -> bytes:
    encoded, png = cv2.imencode('.png', _for_opencv(image))
    if not encoded:
        raise ValueError('OpenCV cannot encode it')
    # OpenCV writes pixels alone: Pillow makes the other chunks, and they go behind the first.
    described = _save(Image.new('L', (1, 1)), 'PNG', image, software)
    after_header = 8 + 25
    chunks = described[after_header : described.index(b'IDAT') - 4]
    return png[:after_header].tobytes() + chunks + png[after_header:].tobytes()


def _encode_tiff(image: ImageData) -> bytes:
    import tifffile

    data = image.pixels
    if image.alpha is not None:
        data = np.dstack([data, image.alpha])
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.ascontiguousarray(data),
        byteorder='<',
        photometric='minisblack' if image.pixels.ndim == 2 else 'rgb',
        planarconfig='contig' if data.ndim == 3 else None,
        extrasamples=['unassalpha'] if image.alpha is not None else None,
        compression='zlib',
        metadata=None,
        software=False,
    )
    content = bytearray(file.getvalue())
    if content[2] == 42:  # not a BigTIFF, whose directories are others
        _add_tags(content, image)
    return bytes(content)


def _add_tags(content: bytearray, image: ImageData) -> None:
    """Give a little-endian TIFF the profile and metadata, which tifffile writes but in part."""
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b'II')
    if image.exif:
        exif = Image.Exif()
        exif.load(image.exif)
        for tag, value in exif.items():
            is_ifd = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
            tags[tag] = exif.get_ifd(tag) if is_ifd else value
    for tag, tag_type, value in (
        (TiffImagePlugin.XMP, TiffTags.BYTE, image.xmp),
        (TiffImagePlugin.ICCPROFILE, TiffTags.UNDEFINED, image.icc_profile),
    ):
        if value:
            tags.tagtype[tag] = tag_type
            tags[tag] = value
    if not tags:
        return
    # Behind the file its second directory, and behind that one of the entries of both.
    first, second = struct.unpack_from('<I', content, 4)[0], len(content) + len(content) % 2
    content += bytes(second - len(content))
    content += tags.tobytes(second)
    entries = {}
    for start in first, second:
        (count,) = struct.unpack_from('<H', content, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            entries[struct.unpack_from('<H', content, entry)] = content[entry : entry + 12]
    content += bytes(len(content) % 2)
    struct.pack_into('<I', content, 4, len(content))
    content += struct.pack('<H', len(entries))
    content += b''.join(entries[tag] for tag in sorted(entries)) + bytes(4)
