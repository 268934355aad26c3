"""Images of formats that are not read, or by a plugin alone, are called what they are."""

import importlib.util
import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from csnln_mm.errors import UserError
from csnln_mm.images import foreign_formats
from csnln_mm.images.foreign_formats import describe_foreign
from csnln_mm.images.image_file import read_header, read_image

GREY = Image.fromarray(np.full((6, 7, 3), 99, np.uint8))
DEEP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16


def encoded(kind, **options):
    file = io.BytesIO()
    GREY.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def without_plugins(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name.startswith('pillow_') else find(name)
    )


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('a.dng', encoded('TIFF'), "a camera's raw file, which is not read; develop it"),
        ('a.NEF', encoded('TIFF'), 'raw file'),
        ('a.CR3', b'\0\0\0\x18ftypcrx \0\0\0\1', 'raw file'),
        ('a.heic', b'\0\0\0\x18ftypheic\0\0\0\0', 'is HEIC; pip install pillow-heif to read it'),
        # As telephones send them.
        ('a.jpg', b'\0\0\0\x18ftypmif1\0\0\0\0', 'is HEIC; .* or convert it to PNG or JPEG first'),
        ('a.jxl', b'\xff\x0a\xfa\x1f', 'is JPEG XL; pip install pillow-jxl-plugin'),
        ('a.psd', b'8BPS\0\1', 'is Photoshop, which is not read; convert it'),
        ('a.ico', encoded('ICO'), 'is a Windows icon, which is not read'),
        ('a.hdr', b'#?RADIANCE\nFORMAT', 'is Radiance HDR, which is not read'),
        (
            'a.jpg',
            imagecodecs.jpeg8_encode(DEEP >> 4, bitspersample=12),
            'is a JPEG of 12 bits, which',
        ),
        ('a.jpg', imagecodecs.ljpeg_encode(DEEP), 'is a lossless JPEG, which is not read'),
        ('a.jpg', imagecodecs.jpegls_encode(DEEP), 'is a lossless JPEG, which is not read'),
        ('a', b'\0' * 128 + b'DICM', 'is DICOM, which is not read; convert it to TIFF first'),
        ('a.nii', b'\x5c\1\0\0', 'is NIfTI, which is not read; convert it to TIFF first'),
        ('a.jpg', b'%PDF-1.4', 'is PDF, which is not read; extract its images first'),
        ('a.jpg', b'\0\0\0\x18ftypisom\0\0\0\0', 'is a video, which is not read; ffmpeg writes'),
        ('a.heic', b'nothing of the kind', 'is damaged or no image'),
    ],
)
def test_what_a_file_is(tmp_path, without_plugins, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    for read in read_header, read_image:
        with pytest.raises(UserError, match=message):
            read(path)


@pytest.mark.parametrize('name', ['a.jfif', 'a.heic', 'a.raw'])
def test_a_jpeg_is_read_whatever_it_is_called(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(encoded('JPEG'))
    assert read_image(path).size == (7, 6)


def test_a_dng_that_is_called_tiff_is_no_photograph_but_its_thumbnail(tmp_path):
    path = tmp_path / 'a.tif'
    GREY.save(path, tiffinfo={50706: b'\1\4\0\0'})
    with pytest.raises(UserError, match='raw file'):
        read_header(path)


def test_advice_for_several():
    assert describe_foreign({'.psd': 1, '.arw': 2}) == (
        '2 .arw (raw; develop them to TIFF or PNG first), 1 .psd (convert it to PNG or JPEG first)'
    )
    assert describe_foreign({'.heic': 2}) == (
        '2 .heic (pip install pillow-heif, or convert them to PNG or JPEG first)'
    )
    assert '.psd' in foreign_formats.FOREIGN_SUFFIXES
