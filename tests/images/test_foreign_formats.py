"""Images of formats that are not read are called what they are."""

import io

import numpy as np
import pytest
from PIL import Image

from csnln_mm.errors import UserError
from csnln_mm.images.foreign_formats import describe_foreign
from csnln_mm.images.image_file import read_header, read_image

GREY = Image.fromarray(np.full((6, 7, 3), 99, np.uint8))


def encoded(kind, **options):
    file = io.BytesIO()
    GREY.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('a.dng', encoded('TIFF'), "a camera's raw file, which is not read; develop it"),
        ('a.NEF', encoded('TIFF'), 'raw file'),
        ('a.CR3', b'\0\0\0\x18ftypcrx \0\0\0\1', 'raw file'),
        ('a.heic', b'\0\0\0\x18ftypheic\0\0\0\0', 'is HEIC, which is not read; convert it'),
        # As telephones send them.
        ('a.jpg', b'\0\0\0\x18ftypmif1\0\0\0\0', 'is HEIC'),
        ('a.avif', b'\0\0\0\x18ftypavif\0\0\0\0', 'is AVIF'),
        ('a.jxl', b'\xff\x0a\xfa\x1f', 'is JPEG XL'),
        ('a.jp2', b'\0\0\0\x0cjP  \r\n\x87\n', 'is JPEG 2000'),
        ('a.png', encoded('GIF'), 'is GIF'),
        ('a.heic', b'nothing of the kind', 'is damaged or no image'),
    ],
)
def test_what_a_file_is(tmp_path, name, content, message):
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
    counts = {'.heic': 1, '.arw': 2}
    assert describe_foreign(counts) == (
        '2 .arw (raw; develop them to TIFF or PNG first), 1 .heic (convert it to PNG or JPEG first)'
    )
