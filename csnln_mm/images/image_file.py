"""Image files of every kind, read to and written from plain arrays."""

import io
import math
import os
import tempfile
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import cv2
import numpy as np
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
)

from csnln_mm import limits
from csnln_mm.device import free_main_memory
from csnln_mm.errors import UserError
from csnln_mm.files import atomic_file, atomic_write
from csnln_mm.images.animation import avif_plays, save_animation, to_palette
from csnln_mm.images.bounded import TookTooLong, run_for
from csnln_mm.images.foreign_formats import identify, raw_file
from csnln_mm.images.formats import (
    ANIMATED,
    MAX_SIDES,
    OUTPUT_FORMATS,
    SUFFIXES,
    WITH_16_BITS,
    WITH_ALPHA,
    WITH_QUALITY,
    encode_deep_avif,
    formats_of,
    jxl_header,
    load_plugin,
    read_deep,
    sample_bits,
)
from csnln_mm.images.image_data import ImageData, ImageHeader, as_bands, turn_upright
from csnln_mm.images.metadata import (
    png_significant_bits,
    read_dpi,
    read_exif,
    read_metadata,
    read_texts,
    read_xmp,
    update_exif,
    update_xmp,
)
from csnln_mm.images.value_range import DTYPES, find_range, full_range, range_of_bits

if TYPE_CHECKING:
    from csnln_mm.images.tiff_file import TiffImage, TiffPages

_TIFF = ('.tif', '.tiff')
_WITHOUT_PROFILE = ('BMP', 'GIF', 'JXL', 'PPM')

# Of a segment of JPEG, less its own length and name.
_MAX_JPEG_EXIF = 65533
_MAX_JPEG_XMP = 65533 - 29

_GREY_MODES = ('L', 'LA', 'La', '1')
_ORIENTATION = ExifTags.Base.Orientation

# A model for lossy files pays where the mean step of JPEG's quantization of luma is larger: below
# quality 93 of libjpeg, as csnln measure --jpeg shows.
_VISIBLE_QUANTIZATION = 8


def list_images(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """List the image files of a folder by name, without subfolders.

    Raises:
        UserError: if there is no such folder, or two files differ only in their suffixes, so that
            their results would have the same name.
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


def middle_crops(folder: Path, count: int, side: int) -> Iterator[np.ndarray]:
    """Yield crops of at most ``count`` images, spread over a folder, to look at a network with.

    Each is the middle of an image, uint8 RGB, [h, w, 3]; h and w are ``side``, or the image's.

    Raises:
        UserError: if there is no such folder, it has no images, or one cannot be read.
    """
    paths = list_images(folder)
    if not paths:
        raise UserError(f'there are no images in {folder}')
    for path in paths[:: -(-len(paths) // count)]:
        image = read_rgb(path)
        top, left = (max(0, length - side) // 2 for length in image.shape[:2])
        yield image[top : top + side, left : left + side].copy()


def read_header(path: str | Path, frame: int | None = None) -> ImageHeader:
    """Read the header of an image file.

    Args:
        path: of the file.
        frame: which one is meant, from 1, of an animation or of several pages; None for all, of
            which the first one is described.

    Raises:
        UserError: as :func:`read_image` does, for all that a header shows.
    """
    with _open_file(path) as file:
        frames = _Frames(file, path)
        header = frames.header((frame or 1) - 1)
        return header if frame else header._replace(frames=frames.count)


def read_image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of :func:`read_header`."""
    return read_header(path).size


def read_image(path: str | Path, frame: int | None = None) -> ImageData:
    """Read an image file of one of :data:`csnln_mm.images.formats.INPUT_FORMATS`, or of a plugin.

    The image is rotated as its EXIF data say, and palettes are resolved. 10, 12 and 16 bits become
    16 bits, but in animations 8; CMYK and Lab become 8-bit sRGB.

    Args:
        path: of the file.
        frame: which frame of an animation, or page of a TIFF, from 1; by default the first.

    Raises:
        UserError: if the file is missing, cut off, damaged or no image, or has more than 179
            million pixels (:data:`csnln_mm.limits.IMAGE_PIXELS`), or decoding it takes more time or
            memory than there is for its size, or it has no such frame; one line that names it.
    """
    with _open_file(path) as file:
        return _Frames(file, path).read((frame or 1) - 1)


def read_frames(path: str | Path) -> Iterator[ImageData]:
    """Read all frames of an animation, as they are shown, or all pages, one after the other.

    Raises:
        UserError: as :func:`read_image` does.
    """
    with _open_file(path) as file:
        frames = _Frames(file, path)
        for index in range(frames.count):
            yield frames.read(index, with_texts=index == 0)


class _Frames:
    """An open image file, as a sequence of frames or pages; most files have one."""

    def __init__(self, file: BinaryIO, path: str | Path) -> None:
        self.file, self.path = file, path
        self.image: Image.Image | None = None
        self.tiff = _open_tiff(file, path)
        if self.tiff is not None:
            self.places: Sequence[int] = self.tiff.pages
        else:
            self.image = _open_image(file, path)
            with _reading(path):
                self.places = _places(self.image)
        self.count = len(self.places)

    def header(self, index: int) -> ImageHeader:
        """Read the header of a frame."""
        found = self._find(index)
        if not isinstance(found, Image.Image):
            return found.header
        with _reading(self._name(index)):
            return _read_header(self.file, found, self.path, is_animated=self.count > 1)

    def read(self, index: int, *, with_texts: bool = True) -> ImageData:
        """Read a frame; for its texts, all frames of an animation are decoded."""
        megapixels = math.prod(self.header(index).size) / 1e6
        seconds = limits.DECODING_SECONDS + limits.DECODING_SECONDS_PER_MEGAPIXEL * megapixels
        try:
            return run_for(seconds, lambda: self._read(index, with_texts))
        except TookTooLong:
            self.file.close()  # the decoder goes on, but gets no more of it
            raise UserError(
                f'{self._name(index)} is refused: decoding it takes too long for its size'
            ) from None

    def _read(self, index: int, with_texts: bool) -> ImageData:
        found, name = self._find(index), self._name(index)
        if not isinstance(found, Image.Image):
            return _read_tiff(found, self.file, name)
        header = self.header(index)
        with _reading(name):
            size = found.size
            _check_costs(self.file, size, name, is_jpeg=found.format == 'JPEG')
            found.load()  # refuses a broken file, which OpenCV would fill with grey
            if found.size != size:
                raise UserError(
                    f'{name} is damaged: it decodes to another size than its header says'
                )
            exif, xmp = read_metadata(found)
            texts = read_texts(found) if with_texts else ()
            decoded = _read_16_bits(self.file, found, name) if header.deep else _read_8_bits(found)
            _check_decoded(decoded, _upright(size, found, found.getexif()), name)
            duration = float(found.info.get('duration') or 0) if self.count > 1 else 0.0
            return decoded._replace(exif=exif, xmp=xmp, texts=texts, duration=duration)

    def _find(self, index: int) -> 'Image.Image | TiffImage':
        if not 0 <= index < self.count:
            has = 'a single image' if self.count == 1 else f'{self.count} frames or pages'
            raise UserError(f'{self.path} has {has}, and no number {index + 1}')
        name = self._name(index)
        if self.tiff is not None:
            with _reading(name):
                tiff = self.tiff.image(index)
            if tiff is not None:
                return tiff
        if self.image is None:
            self.file.seek(0)
            self.image = _open_image(self.file, self.path)
        with _reading(name):
            if self.count > 1:
                self.image.seek(self.places[index])
            return self.image

    def _name(self, index: int) -> str | Path:
        return f'{self.path}, number {index + 1},' if index else self.path


class RowReader:
    """An image that is read by rows, with little memory: a TIFF whose header says ``by_rows``.

    Within a ``with`` block, after which the file is closed.

    Args:
        path: of the file.
        frame: which page, from 1; by default the first.

    Raises:
        UserError: as :func:`read_image` does, of the rows when they are read.
    """

    def __init__(self, path: str | Path, frame: int | None = None) -> None:
        self.path, self._file = path, _open_file(path)
        tiff = _Frames(self._file, path)._find((frame or 1) - 1)
        assert not isinstance(tiff, Image.Image)  # as the header says
        self._tiff = tiff
        self._exif = _tiff_exif(self._file, tiff)

    def __enter__(self) -> 'RowReader':
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._tiff.size

    def rows(self, top: int, bottom: int) -> ImageData:
        """These rows of the image."""
        with _reading(self.path):
            image = self._tiff.rows(top, bottom)
        return image._replace(exif=self._exif, xmp=read_xmp(image.xmp))


def read_rgb(path: str | Path) -> np.ndarray:
    """As :func:`read_image`, reduced to uint8 RGB without alpha, [H, W, 3]."""
    return as_8_bit_rgb(read_image(path).pixels)


def as_8_bit_rgb(image: ImageData | np.ndarray) -> np.ndarray:
    """Convert an image to uint8, [H, W, 3]: grey is repeated, of bands the first three are taken.

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
    with _writing(path):
        data = encode_image(image, path, quality=quality, software=software, strip=strip)
        atomic_write(path, data)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn any error of writing a file into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror or error}') from error
    except (ValueError, cv2.error) as error:
        raise UserError(f'cannot write {path}: {error}') from error


def write_rows(
    path: Path,
    strips: Iterable[ImageData],
    size: tuple[int, int],
    *,
    software: str | None = None,
    strip: bool = False,
) -> None:
    """Write a TIFF whose rows come one after the other, completely or not at all.

    Args:
        path: of the file, which becomes the one that :func:`write_image` writes of the whole.
        strips: the rows from top to bottom.
        size: (width, height) of the image.
        software: see :func:`encode_image`, as ``strip``.

    Raises:
        UserError: if the file cannot be written.
    """
    from csnln_mm.images.tiff_writer import write_tiff

    described = (_describe(image, size, 'TIFF', software, strip)[0] for image in strips)
    with _writing(path), atomic_file(path) as file:
        write_tiff(file, [(described, size)])


def write_frames(
    path: Path,
    frames: Iterable[ImageData],
    header: ImageHeader,
    *,
    quality: int | None = None,
    software: str | None = None,
    strip: bool = False,
) -> None:
    """Write an animation, or a TIFF of several pages, completely or not at all.

    Pages take the memory of one. Animations wait in a temporary file, as pages; Pillow keeps all
    frames of a PNG or GIF in memory, of WebP and AVIF what they are compressed to.

    Args:
        path: of the file.
        frames: the images; the metadata of an animation are those of the first one.
        header: of the image that they are made from, for ``frames`` and ``plays``.
        quality: see :func:`encode_image`, as the others.
        software: a note on what made it.
        strip: leave out all metadata.

    Raises:
        UserError: if the file cannot be written.
    """
    from csnln_mm.images.tiff_writer import write_tiff

    kind, options = _output_options(path, quality)
    first: ImageData | None = None
    durations: list[float] = []
    has_alpha: set[bool] = set()

    def pages() -> Iterator[tuple[list[ImageData], tuple[int, int]]]:
        nonlocal first
        for frame in frames:
            image, _ = _describe(frame, frame.size, kind, software, strip)
            first = first or image
            durations.append(image.duration)
            if kind != 'TIFF':
                # Pillow gives all WebP without losses an opacity.
                is_opaque = image.alpha is None or image.alpha.min() == 255
                has_alpha.add(not is_opaque)
                image = ImageData(image.pixels, None if is_opaque else image.alpha)
            yield [image], image.size

    with _writing(path), atomic_file(path) as file:
        if kind == 'TIFF':
            write_tiff(file, pages(), header.frames)
            return
        # tifffile takes no file whose name is a number, as that of a TemporaryFile is.
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as named:
            os.unlink(named.name)
            spool = cast(BinaryIO, named.file)
            write_tiff(spool, pages(), header.frames)
            assert first is not None
            save_animation(
                spool,
                file,
                kind,
                durations=durations,
                plays=header.plays,
                has_alpha=has_alpha,
                **options,
                **described_by(first, kind, None if strip else software),
            )


def encode_image(
    image: ImageData | np.ndarray,
    path: Path,
    *,
    quality: int | None = None,
    software: str | None = None,
    strip: bool = False,
) -> bytes:
    """Encode an image file.

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
    pillow_format, options = _output_options(path, quality)
    image, software = _describe(image, image.size, pillow_format, software, strip)
    if pillow_format == 'TIFF':
        from csnln_mm.images.tiff_writer import write_tiff

        file = io.BytesIO()
        write_tiff(file, [([image], image.size)])
        return file.getvalue()
    if image.pixels.shape[2:] == (1,):
        image = image._replace(pixels=image.pixels[..., 0])
    deep = image.pixels.dtype == np.uint16
    if deep and image.alpha is not None and image.pixels.ndim == 2:
        # OpenCV writes no grey with alpha, Pillow reads none of 16 bits. A profile of grey goes.
        pixels = np.stack([image.pixels] * 3, -1)
        image = image._replace(pixels=pixels, icc_profile=None)
    if deep and pillow_format == 'AVIF':
        metadata = dict(exif=image.exif, xmp=image.xmp, icc_profile=image.icc_profile)
        return encode_deep_avif(_for_opencv(image), options['quality'], metadata)
    if deep:
        return _encode_16_bit_png(image, software)
    return _save(to_pillow(image, pillow_format), pillow_format, image, software, **options)


def _output_options(path: Path, quality: int | None) -> tuple[str, dict[str, Any]]:
    """Pillow's format of a file, and its options."""
    pillow_format, options = OUTPUT_FORMATS[path.suffix.lower()]
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f'the quality must be 1 to 100, not {quality}')
    options = dict(options)
    if quality is not None and pillow_format in WITH_QUALITY:
        options['quality'] = quality
        options.pop('lossless', None)
    return pillow_format, options


def to_pillow(image: ImageData, pillow_format: str) -> Image.Image:
    """Convert an 8-bit image to one of Pillow, in a mode that the format supports."""
    pillow_image = Image.fromarray(image.pixels)
    if image.alpha is not None:
        pillow_image.putalpha(Image.fromarray(image.alpha))
    return to_palette(pillow_image) if pillow_format == 'GIF' else pillow_image


def check_format(path: Path, header: ImageHeader) -> None:
    """Raise UserError unless the format of the file's suffix can hold such an image."""
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_FORMATS:
        raise UserError(f'{path}: unknown format; use one of {", ".join(OUTPUT_FORMATS)}')
    load_plugin(OUTPUT_FORMATS[suffix][0])
    if header.frames > 1:
        is_animation = header.kind in ANIMATED
        hold = [s for s, (kind, _) in OUTPUT_FORMATS.items() if kind in ANIMATED]
        hold = hold if is_animation else list(_TIFF)
        if suffix not in hold:
            what = f'{header.frames} {"frames" if is_animation else "pages"}'
            raise UserError(
                f'{path}: {suffix} cannot hold {what}; use one of {", ".join(hold)}, or --frame 1 '
                'for the first'
            )
    if header.alpha and suffix not in WITH_ALPHA:
        raise UserError(
            f'{path}: {suffix} cannot hold transparency; use one of {", ".join(WITH_ALPHA)}'
        )
    if suffix not in _TIFF and (
        header.dtype not in ('uint8', 'uint16') or header.groups not in ((1,), (3,))
    ):
        many = header.groups not in ((1,), (3,))
        what = f'{sum(header.groups)} bands' if many else f'{header.dtype} values'
        raise UserError(f'{path}: {suffix} cannot hold {what}; use {" or ".join(_TIFF)}')
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


def _check_costs(
    file: BinaryIO, size: tuple[int, int], path: str | Path, *, is_jpeg: bool = False
) -> None:
    """Refuse what takes too much time or memory to decode."""
    pixels = math.prod(size)
    if is_jpeg:
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
                f'{path}: reading {size[0]}x{size[1]} pixels takes about '
                f'{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free'
            )


def _open_file(path: str | Path) -> io.BufferedReader:
    path = Path(path)
    try:
        if not path.is_file():
            raise UserError(f'{path} is not a file' if path.exists() else f'{path} does not exist')
        file = path.open('rb')
        if not file.peek(1):
            raise UserError(f'{path} is empty')
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error
    return file


def _open_image(file: BinaryIO, name: str | Path) -> Image.Image:
    with _reading(name):
        kind = identify(file, name)
        if kind == 'JXL':
            size, is_animated, _ = jxl_header(file)
            if size is None or math.prod(size) > limits.IMAGE_PIXELS:
                raise UserError(f'{name} is refused: it has too many pixels, or is damaged')
            if is_animated:  # of which the plugin would show the last frame
                raise UserError(
                    f'{name} is an animated JPEG XL, which is not read; djxl converts it to APNG'
                )
        return Image.open(file, formats=formats_of(Path(name).suffix, kind))


def _open_tiff(file: BinaryIO, name: str | Path) -> 'TiffPages | None':
    """Open a TIFF with tifffile; None if the file has another format."""
    if file.read(2) not in (b'II', b'MM'):
        file.seek(0)
        return None
    from csnln_mm.images.tiff_file import RawTiff, open_tiff

    file.seek(0)
    with _reading(name):
        identify(file, name)
        try:
            tiff = open_tiff(file, str(name))
        except RawTiff:
            raise raw_file(name) from None
        file.seek(0)
        return tiff


def _read_tiff(tiff: 'TiffImage', file: BinaryIO, name: str | Path) -> ImageData:
    pixels = math.prod(tiff.size)
    if pixels > limits.IMAGE_PIXELS:
        raise UserError(
            f'{name} is refused: {pixels} pixels exceeds limit of {limits.IMAGE_PIXELS} pixels'
        )
    _check_costs(file, tiff.size, name)
    with _reading(name):
        image = tiff.whole()
        _check_decoded(image, tiff.size, name)
        return image._replace(exif=_tiff_exif(file, tiff), xmp=read_xmp(image.xmp))


def _tiff_exif(file: BinaryIO, tiff: 'TiffImage') -> bytes | None:
    def read() -> Image.Exif:
        exif = Image.Exif()
        exif.endian, exif.bigtiff = tiff.byteorder, tiff.is_big
        exif.load_from_fp(file, tiff.offset)
        return exif

    return read_exif(read, tiff.size)


@contextmanager
def _reading(name: str | Path) -> Iterator[None]:
    """Turn any error of a decoder into a UserError that names the file; suppress warnings."""
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


def _places(image: Image.Image) -> Sequence[int]:
    """List Pillow's numbers of the frames or pages; most files have one."""
    count = getattr(image, 'n_frames', 1)
    if isinstance(image, MpoImagePlugin.MpoImageFile):
        # The second picture of most photographs is a preview or a map of gains.
        kinds = [e['Attribute']['MPType'] for e in (image.mpinfo or {}).get(0xB002, [])]
        return [0, *(i for i, kind in enumerate(kinds) if i and kind.startswith('Multi-Frame'))]
    # A PNG may have another image for programs that know no animations.
    return range(1 if count > 2 and image.info.get('default_image') else 0, count)


def _read_header(
    file: BinaryIO, image: Image.Image, name: str | Path, *, is_animated: bool
) -> ImageHeader:
    if image.mode == 'F' or (image.mode == 'I' and image.format != 'PPM'):
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
        deep and not is_animated,
        image.has_transparency_data,
        software if isinstance(software, str) else '',
        _is_lossy(file, image),
        (1,) if image.mode in _GREY_MODES or image.mode.startswith('I') else (3,),
        'uint16' if deep and not is_animated else 'uint8',
        kind=image.format or '',
        plays=_plays(file, image) if is_animated else 0,
        reduced=deep and is_animated,
    )


def _plays(file: BinaryIO, image: Image.Image) -> int:
    """How often an animation is played; 0: endlessly."""
    if image.format == 'AVIF':
        return avif_plays(file)
    loop = image.info.get('loop')
    if image.format != 'GIF':
        return loop or 0
    # Without the number it is played once, and with it once more than it says.
    return 1 if loop is None else loop and loop + 1


def _is_lossy(file: BinaryIO, image: Image.Image) -> bool:
    """Whether compression has visibly changed an image, judged by its header."""
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
    # The first two can do without losses, and hardly ever do; the last is a TIFF.
    return image.format in ('AVIF', 'HEIF') or image.info.get('compression') == 'jpeg'


def _upright(size: tuple[int, int], image: Image.Image, exif: Image.Exif) -> tuple[int, int]:
    """(width, height) after rotation by EXIF."""
    # Pillow turns a TIFF, and its size, by itself.
    turned = image.format != 'TIFF' and exif.get(_ORIENTATION) in (5, 6, 7, 8)
    width, height = size
    return (height, width) if turned else size


def _check_decoded(image: ImageData, size: tuple[int, int], name: str | Path) -> None:
    """Raise UserError if a decoder's result differs from what the header says."""
    shape, pixels, alpha = size[::-1], image.pixels, image.alpha
    if (
        pixels.shape not in (shape, (*shape, sum(image.groups)))
        or str(pixels.dtype) not in DTYPES
        or (alpha is not None and (alpha.shape != shape or alpha.dtype != pixels.dtype))
    ):
        raise UserError(
            f'{name} is damaged: it decodes to {pixels.dtype} of the shape {pixels.shape}, and its '
            f'header says {size[0]}x{size[1]} pixels'
        )


def _has_16_bits(file: BinaryIO, image: Image.Image) -> bool:
    """Whether the header says 16 bits; Pillow silently reduces colour to 8."""
    if image.mode.startswith('I'):  # a PGM of more than 8 bits has 32 in Pillow
        return True
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        return image.tile[0].args == ('RGB', 65535)
    if image.format == 'PNG':
        file.seek(0)
        return file.read(25)[24] == 16  # bit depth in the IHDR chunk, always the first
    return sample_bits(file, image) > 8


def _read_16_bits(file: BinaryIO, image: Image.Image, name: str | Path) -> ImageData:
    file.seek(0)
    bits = sample_bits(file, image)
    if image.mode == 'I':
        data = np.asarray(image).astype(np.uint16)
    else:
        # Of 16 bits it leaves white as it is.
        data = read_deep(file, image, bits if bits > 8 else 16)
    if data is None:
        raise UserError(f'{name}: {bits} bits in an arrangement that is not supported')
    if image.format != 'JXL':
        data = turn_upright(data, image.getexif().get(_ORIENTATION, 1))
    colour, alpha = data, None
    if data.ndim == 3:
        colour = data[..., 0] if image.mode == 'LA' else data[..., :3]  # OpenCV makes it RGBA
        if data.shape[2] in (2, 4):
            alpha = np.ascontiguousarray(data[..., -1])
    elif 'transparency' in image.info:  # the one transparent grey of a PNG
        alpha = np.where(data == image.info['transparency'], 0, 65535).astype(np.uint16)
    image_data = ImageData(np.ascontiguousarray(colour), alpha, image.info.get('icc_profile'))
    if image.format == 'PNG':
        image_data = image_data._replace(value_range=_significant_range(file, colour))
    return image_data


def _significant_range(file: BinaryIO, pixels: np.ndarray) -> tuple[float, float] | None:
    """The range of a 16-bit PNG with fewer significant bits.

    By the standard they are the upper bits, followed by zeros or by a repetition; some programs
    write the lower bits.
    """
    bits = png_significant_bits(file)
    if bits is None or not 8 <= bits < 16:
        return None
    top = (pixels >> (16 - bits)) << (16 - bits)
    if (pixels == top).all() or (pixels == top | (top >> bits)).all():
        return full_range(pixels.dtype)
    return range_of_bits(bits) if pixels.max() < 2**bits else None


def _read_8_bits(image: Image.Image) -> ImageData:
    profile = image.info.get('icc_profile')
    image = ImageOps.exif_transpose(image)
    if image.mode == 'I;16':  # a frame, whose values Pillow would clip to 255
        values, hidden = np.asarray(image), image.info.get('transparency')
        image = Image.fromarray(as_8_bit_rgb(values)[..., 0].copy())
        if hidden is not None:
            image.putalpha(Image.fromarray((values != hidden).astype(np.uint8) * 255))
    if image.mode in ('CMYK', 'LAB', 'YCbCr', 'HSV'):
        image, profile = _to_srgb(image, profile), None
    grey, alpha = image.mode in _GREY_MODES, None
    if image.has_transparency_data:
        image = image.convert('RGBA')
        alpha = np.asarray(image.getchannel('A'))
    rgb = np.asarray(image.convert('RGB'))
    return ImageData(rgb[..., 0].copy() if grey else rgb, alpha, profile)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB, by the embedded profile if it is valid."""
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
    image: ImageData, size: tuple[int, int], pillow_format: str, software: str | None, strip: bool
) -> tuple[ImageData, str | None]:
    """Select the metadata and the note that a file of this format can hold."""
    if image.icc_profile and not strip and pillow_format in _WITHOUT_PROFILE:
        srgb = _to_srgb(Image.fromarray(image.pixels), image.icc_profile)
        image = image._replace(pixels=np.asarray(srgb))
    if strip or pillow_format == 'PPM':
        bare = ImageData(image.pixels, image.alpha, bands=image.bands, nodata=image.nodata)
        return bare._replace(value_range=image.value_range), None
    if pillow_format in _WITHOUT_PROFILE:
        image = image._replace(icc_profile=None)
    texts = () if pillow_format in ('PNG', 'GIF') else image.texts
    exif = update_exif(image.exif, size, software, texts)
    xmp = update_xmp(image.xmp, size)
    if pillow_format == 'JPEG':
        for kept in image.exif, None:
            if exif and len(exif) > _MAX_JPEG_EXIF:
                exif = update_exif(kept, size, software)
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
    """Encode with Pillow, including the image's profile and metadata."""
    options |= described_by(image, pillow_format, software)
    file = io.BytesIO()
    pillow_image.save(file, pillow_format, **options)
    return file.getvalue()


def described_by(
    image: ImageData, pillow_format: str, software: str | None = None
) -> dict[str, Any]:
    """Options of Pillow's ``save`` for the metadata that the format supports."""
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
        # Without what begins it in a JPEG; of a WebP Pillow itself leaves that out of still images.
        start = b'Exif\0\0' if pillow_format == 'WEBP' else b''
        options['exif'] = image.exif.removeprefix(start)
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
    """Convert to OpenCV's order: [H, W], or [H, W, C] in BGR or BGRA."""
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
