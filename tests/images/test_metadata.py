"""What a file says beside its pixels: kept where it stays true, corrected or dropped where not."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tiny_data import smooth_noise

from csnln_mm.images import read_image, write_image
from csnln_mm.images.metadata import read_xmp, update_xmp


@pytest.fixture
def image():
    return Image.fromarray(smooth_noise(20, 30, 1))


@pytest.mark.parametrize(
    'xmp, kept',
    [
        (b'<a xmp:Rating="3" GCamera:MotionPhoto="1"/>', b'<a xmp:Rating="3"/>'),
        (b'<a><xmp:Thumbnails><b>x</b></xmp:Thumbnails><c/></a>', b'<a><c/></a>'),
        (b'<a><hdrgm:GainMapMin/><hdrgm:Gamma c="d">1</hdrgm:Gamma></a>', b'<a></a>'),
        (b'<a><xmp:ThumbnailsOfOthers/></a>', b'<a><xmp:ThumbnailsOfOthers/></a>'),
        (b'<a><xmp:Thumbnails>', b'<a><xmp:Thumbnails>'),  # broken
    ],
)
def test_previews_and_images_that_the_result_lacks_are_dropped(xmp, kept):
    assert read_xmp(xmp) == kept


@pytest.mark.parametrize('opening', [b'<xmp:Thumbnails>', b'<xmp:Thumbnails '])
def test_broken_xmp_of_a_megabyte_is_read_at_once(opening):
    """A search from each opening to the end would take a quarter of an hour."""
    xmp = opening * 2**16
    assert read_xmp(xmp) == xmp


def test_a_panorama_grows_with_its_image():
    xmp = b'<a GPano:CroppedAreaImageWidthPixels="30" GPano:FullPanoWidthPixels="100"/>'
    assert update_xmp(xmp, (60, 40)) == (
        b'<a GPano:CroppedAreaImageWidthPixels="60" GPano:FullPanoWidthPixels="200"/>'
    )


@pytest.mark.parametrize('source', ['.png', '.jpg', '.tif', '.bmp'])
@pytest.mark.parametrize('target', ['.png', '.jpg', '.tif', '.bmp', '.webp', '.avif'])
def test_dots_per_inch_are_kept_between_formats(tmp_path, image, source, target):
    image.save(tmp_path / f'a{source}', dpi=(300, 300))
    write_image(tmp_path / f'b{target}', read_image(tmp_path / f'a{source}'))
    written = Image.open(tmp_path / f'b{target}')
    if target in ('.webp', '.avif'):  # which have no other place for them
        assert [float(written.getexif()[tag]) for tag in (0x011A, 0x011B)] == [300, 300]
    else:
        np.testing.assert_allclose([float(x) for x in written.info['dpi']], 300, atol=0.01)


def test_how_an_image_was_made_is_kept(tmp_path, image):
    """As A1111 and ComfyUI write it, and read it in PNG and elsewhere."""
    texts = PngInfo()
    for keyword, text in ('parameters', 'a cat, Steps: 20'), ('workflow', '{"nodes": []}'):
        texts.add_text(keyword, text)
    texts.add_text('Thumb::Image::Width', '30')  # which becomes false
    image.save(tmp_path / 'a.png', pnginfo=texts)
    read = read_image(tmp_path / 'a.png')
    write_image(tmp_path / 'b.png', read)
    written = Image.open(tmp_path / 'b.png')
    written.load()
    assert written.text['parameters'] == 'a cat, Steps: 20'
    assert written.text['workflow'] == '{"nodes": []}' and 'Thumb::Image::Width' not in written.text
    write_image(tmp_path / 'b.jpg', read)
    exif = Image.open(tmp_path / 'b.jpg').getexif()
    assert exif[0x010F] == 'workflow:{"nodes": []}'
    assert b'a cat' in exif.get_ifd(0x8769)[0x9286].replace(b'\0', b'')
    write_image(tmp_path / 'c.png', read, strip=True)
    bare = Image.open(tmp_path / 'c.png')
    bare.load()
    assert not bare.text
