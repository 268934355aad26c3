"""Formats that Pillow reads, or its plugins, or OpenCV with more bits; and what is written."""

import io

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from tiny_data import smooth_noise

from csnln_mm.errors import UserError
from csnln_mm.images.formats import jxl_header
from csnln_mm.images.image_file import ImageData, encode_image, read_header, read_image, write_image

PIXELS = smooth_noise(20, 26, 0)
DEEP = PIXELS.astype(np.uint16) * 257 + 3


def plugin(suffix):
    if suffix == '.jxl':
        pytest.importorskip('pillow_jxl')
    if suffix == '.heic':
        pytest.importorskip('pillow_heif').register_heif_opener()


@pytest.mark.parametrize(
    'suffix, options, error',
    [
        ('.gif', {}, 60),  # 256 colours
        ('.avif', dict(quality=100, subsampling='4:4:4'), 2),
        ('.jp2', {}, 0),
        ('.j2k', {}, 0),
        ('.qoi', {}, 0),
        ('.tga', {}, 0),
        ('.dds', {}, 0),
        ('.pcx', {}, 0),
        ('.sgi', {}, 0),
        ('.apng', dict(format='PNG'), 0),
        ('.heic', dict(quality=-1), 3),
        ('.jxl', dict(lossless=True), 0),
    ],
)
def test_what_is_read(tmp_path, suffix, options, error):
    plugin(suffix)
    path = tmp_path / f'a{suffix}'
    Image.fromarray(PIXELS).save(path, **options)
    assert read_header(path).size == (26, 20)
    read = read_image(path)
    assert read.pixels.shape == PIXELS.shape and read.alpha is None
    assert np.abs(read.pixels.astype(int) - PIXELS).max() <= error


def test_targa_has_no_signature_and_needs_its_name(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / 'a.png', 'TGA')
    with pytest.raises(UserError, match='damaged or no image'):
        read_image(tmp_path / 'a.png')


@pytest.mark.parametrize('suffix', ['.avif', '.gif', '.jxl'])
@pytest.mark.parametrize('kind', ['grey', 'colour', 'alpha'])
def test_what_is_written_is_read(tmp_path, suffix, kind):
    plugin(suffix)
    alpha = np.where(np.arange(26) < 13, 0, 255).astype(np.uint8) * np.ones((20, 1), np.uint8)
    image = dict(
        grey=ImageData(PIXELS[..., 0]), colour=ImageData(PIXELS), alpha=ImageData(PIXELS, alpha)
    )[kind]
    write_image(tmp_path / f'a{suffix}', image, software='csnln')
    read = read_image(tmp_path / f'a{suffix}')
    if kind == 'alpha':
        assert np.abs(read.alpha.astype(int) - alpha).max() <= 12
    visible = slice(16, None) if kind == 'alpha' else slice(None)
    pixels = read.pixels.reshape(20, 26, -1)  # grey becomes RGB in an AVIF
    difference = pixels.astype(int) - image.pixels.reshape(20, 26, -1)
    assert np.abs(difference[:, visible]).mean() <= {'.jxl': 0, '.avif': 4, '.gif': 4}[suffix]
    assert read_header(tmp_path / f'a{suffix}').software == ('' if suffix == '.gif' else 'csnln')


@pytest.mark.parametrize('alpha', [None, DEEP[..., 1].copy()])
@pytest.mark.parametrize('bits', [10, 12])
def test_avif_of_more_than_8_bits(tmp_path, bits, alpha):
    data = DEEP if alpha is None else np.dstack([DEEP, alpha])
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100]
    bgr = data[..., [2, 1, 0, 3][: data.shape[2]]] >> (16 - bits)
    path = tmp_path / 'a.avif'
    path.write_bytes(cv2.imencode('.avif', bgr, options)[1].tobytes())
    read = read_image(path)
    assert read_header(path).deep and read.pixels.dtype == np.uint16
    step = 65535 / (2**bits - 1)
    assert np.abs(read.pixels - DEEP.astype(float)).max() <= 2 * step
    if alpha is not None:
        assert np.abs(read.alpha - alpha.astype(float)).max() <= 2 * step
    # And back: 10 bits, with metadata.
    exif = Image.Exif()
    exif[271] = 'Camera'
    write_image(path, read._replace(exif=exif.tobytes()), quality=100, software='csnln')
    assert read_header(path).deep and read_header(path).software == 'csnln'
    assert np.abs(read_image(path).pixels - DEEP.astype(float)).max() <= 2 * 65535 / 1023


def test_an_avif_of_10_bits_that_lies_on_its_side(tmp_path):
    if not hasattr(cv2, 'imencodeWithMetadata'):
        pytest.skip('OpenCV writes no metadata')
    exif = Image.Exif()
    exif[274] = 6
    content = np.frombuffer(exif.tobytes().removeprefix(b'Exif\0\0'), np.uint8)
    options = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 100]
    grey = DEEP[..., 0] >> 6
    kinds = [cv2.IMAGE_METADATA_EXIF]
    avif = cv2.imencodeWithMetadata('.avif', grey, kinds, [content], options)[1]
    (tmp_path / 'a.avif').write_bytes(avif.tobytes())
    assert read_header(tmp_path / 'a.avif').size == (20, 26)
    read = read_image(tmp_path / 'a.avif').pixels >> 6
    np.testing.assert_allclose(read.reshape(26, 20, -1)[..., 0], np.rot90(grey, -1), atol=1)


def test_heic_of_10_bits(tmp_path):
    pillow_heif = pytest.importorskip('pillow_heif')
    file = pillow_heif.from_bytes('RGB;16', (26, 20), DEEP.tobytes())
    file.save(tmp_path / 'a.heic', quality=-1)
    read = read_image(tmp_path / 'a.heic')
    assert read_header(tmp_path / 'a.heic').deep and read.pixels.dtype == np.uint16
    assert np.abs(read.pixels - DEEP.astype(float)).mean() < 300


def test_jpeg_2000_of_16_bits(tmp_path):
    pixels = np.tile(DEEP, (2, 2, 1))  # OpenCV writes none with a side of less than 32
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    _, encoded = cv2.imencode('.jp2', pixels[..., ::-1], options)
    (tmp_path / 'a.jp2').write_bytes(encoded.tobytes())
    read = read_image(tmp_path / 'a.jp2').pixels
    assert read.dtype == np.uint16 and np.abs(read - pixels.astype(float)).max() < 300


@pytest.mark.parametrize('suffix, pixels', [('.pgm', DEEP[..., 0]), ('.ppm', DEEP)])
def test_netpbm_of_16_bits(tmp_path, suffix, pixels):
    """Which Pillow gives in 32 bits, or in 8."""
    cv2.imwrite(str(tmp_path / f'a{suffix}'), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    assert read_header(tmp_path / f'a{suffix}').deep
    np.testing.assert_array_equal(read_image(tmp_path / f'a{suffix}').pixels, pixels)


def test_netpbm_of_12_bits(tmp_path):
    pixels = DEEP[..., 0] >> 4
    (tmp_path / 'a.pgm').write_bytes(b'P5 26 20 4095\n' + pixels.astype('>u2').tobytes())
    read = read_image(tmp_path / 'a.pgm').pixels
    np.testing.assert_allclose(read, pixels * (65535 / 4095), atol=1)


@pytest.mark.parametrize(
    'size', [(1, 1), (8, 8), (26, 20), (320, 240), (1280, 720), (513, 3), (3, 8200)]
)
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(tmp_path, size):
    plugin('.jxl')
    for options in {}, dict(use_container=True):
        file = io.BytesIO()
        Image.new('L', size).save(file, 'JXL', **options)
        file.seek(0)
        assert jxl_header(file) == (size, False, 8) and file.tell() == 0


@pytest.mark.parametrize('bits', [10, 12, 16])
@pytest.mark.parametrize('channels', [1, 2, 3, 4])
def test_a_jpeg_xl_of_more_than_8_bits_is_read_as_it_is(tmp_path, channels, bits):
    plugin('.jxl')
    values = np.random.default_rng(0).integers(0, 2**bits, (20, 24, channels)).astype(np.uint16)
    values = values[..., 0] if channels == 1 else values
    content = imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=bits)
    (tmp_path / 'a.jxl').write_bytes(content)
    image = read_image(tmp_path / 'a.jxl')
    pixels = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
    assert (image.alpha is None) == (channels % 2 == 1) and image.header.deep
    np.testing.assert_allclose(pixels, values * (65535 / (2**bits - 1)), atol=0.5)


@pytest.mark.parametrize('suffix', ['.bmp', '.ppm', '.jxl'])
def test_without_a_profile_pixels_become_srgb(tmp_path, suffix, monkeypatch):
    plugin(suffix)
    converted = []

    def convert(image, source, target, outputMode):
        converted.append(outputMode)
        return ImageOps.invert(image)

    monkeypatch.setattr(ImageCms, 'profileToProfile', convert)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    write_image(tmp_path / f'a{suffix}', ImageData(PIXELS, icc_profile=profile))
    np.testing.assert_array_equal(read_image(tmp_path / f'a{suffix}').pixels, 255 - PIXELS)
    assert converted == ['RGB']


def test_more_than_8_bits_that_a_format_cannot_hold(tmp_path):
    plugin('.jxl')
    with pytest.raises(UserError, match='cannot hold 16 bits; use one of'):
        encode_image(ImageData(DEEP), tmp_path / 'a.jxl')
