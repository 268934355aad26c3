"""What a file says beside its pixels: kept where it stays true, corrected or dropped where not."""

from pathlib import Path

import pytest
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo
from tiny_data import smooth_noise

from csnln_mm.images import read_image, write_image
from csnln_mm.images.formats import OUTPUT_FORMATS, SUFFIXES, has_plugin, load_plugin
from csnln_mm.images.metadata import read_xmp, update_xmp
from csnln_mm.tables import format_table


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


FORMATS = dict(PNG='png', JPEG='jpg', TIFF='tif', WebP='webp', AVIF='avif', HEIC='heic')
FORMATS |= {'JPEG XL': 'jxl', 'BMP': 'bmp', 'GIF': 'gif', 'PPM': 'ppm'}
KINDS = 'ICC profile', 'resolution', 'EXIF', 'XMP', 'texts'
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a xmp:Rating="4"/></x:xmpmeta>'


def save_described(path, image):
    """With all that Pillow, or a plugin of it, can say in such a file."""
    exif = Image.Exif()
    exif[Base.Artist] = 'Ada'
    exif[Base.XResolution] = exif[Base.YResolution] = 300.0
    exif[Base.ResolutionUnit] = 2
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = '2026:01:02 03:04:05'
    exif.get_ifd(IFD.GPSInfo)[1] = 'N'
    for ifd in IFD.Exif, IFD.GPSInfo:  # without this Pillow leaves them out of a TIFF
        exif[ifd] = exif.get_ifd(ifd)
    texts = PngInfo()
    texts.add_itxt('Comment', 'a note')
    texts.add_itxt('XML:com.adobe.xmp', XMP.decode())
    options = dict(icc_profile=PROFILE, exif=exif, dpi=(300, 300), pnginfo=texts, xmp=XMP)
    if path.suffix == '.tif':
        exif[700] = XMP
    if path.suffix in ('.jpg', '.gif'):
        options['comment'] = b'a note'
    if path.suffix == '.png':
        del options['xmp']
    if path.suffix == '.jxl':  # as most are made, from a JPEG
        save_described(path.with_suffix('.jpg'), image)
        image, options = Image.open(path.with_suffix('.jpg')), dict(lossless_jpeg=True)
    image.save(path, **options)


def seen(path):
    """What a file says, as Pillow reads it."""
    image = Image.open(path)
    image.load()
    info, exif = image.info, image.getexif()
    details = exif.get_ifd(IFD.Exif)
    has_place = image.format in ('PNG', 'JPEG', 'TIFF', 'BMP')
    dpi = info.get('dpi', (0,)) if has_place else [exif.get(Base.XResolution, 0)]
    # The plugin for JPEG XL writes XMP, and does not read it.
    xmp = path.read_bytes() if path.suffix == '.jxl' else str(info).encode()
    comments = str(info.get('comment')), str(details.get(Base.UserComment, b'').replace(b'\0', b''))
    found = (
        info.get('icc_profile') == PROFILE,
        abs(float(dpi[0]) - 300) < 0.02,
        exif.get(Base.Artist) == 'Ada' and exif.get_ifd(IFD.GPSInfo) and 0x9003 in details,
        b'xmp:Rating="4"' in xmp,
        'a note' in f'{comments} {getattr(image, "text", {}).get("Comment")}',
    )
    return {kind for kind, there in zip(KINDS, found) if there}


def test_what_is_kept_between_formats(tmp_path, image):
    """The table of docs/upscaling.md, by real conversions; of what is installed here."""
    reads = {name: s for name, s in FORMATS.items() if f'.{s}' in SUFFIXES}
    writes = {name: s for name, s in reads.items() if f'.{s}' in OUTPUT_FORMATS}
    kept = {}
    for source, suffix in reads.items():
        for kind in 'HEIF', 'JXL':
            if has_plugin(kind):
                load_plugin(kind)
        save_described(tmp_path / f'a.{suffix}', image)
        read = read_image(tmp_path / f'a.{suffix}')
        for target in writes:
            path = tmp_path / f'{source}.{writes[target]}'
            write_image(path, read)
            kept[source, target] = seen(path)
    # A PNG holds all of it.
    for source, target in kept:
        assert kept[source, target] == kept[source, 'PNG'] & kept['PNG', target], (source, target)
    page = (Path(__file__).parents[2] / 'docs/upscaling.md').read_text()
    words = {(True, True): 'kept', (True, False): 'read', (False, True): 'written'}
    rows = []
    for name in reads:
        ways = [(kind in kept[name, 'PNG'], kind in kept.get(('PNG', name), ())) for kind in KINDS]
        rows.append((name, *(words.get(way, '') for way in ways)))
    table = format_table(('format', *KINDS), rows, 'markdown')
    lines = [line.split() for line in page.splitlines()]
    for line in table.splitlines():
        assert line.split() in lines or ':--' in line, f'docs/upscaling.md has to say\n{table}'


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
