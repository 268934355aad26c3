import numpy as np
import pytest
from damage import spoil_middle, write_bomb
from PIL import Image, ImageCms, ImageOps

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import (
    ImageData,
    encode_image,
    list_images,
    read_image,
    read_image_size,
    read_rgb,
    write_image,
)

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" '
    b'xmp:Rating="3"><exif:PixelXDimension>50</exif:PixelXDimension></rdf:Description>'
    b'</x:xmpmeta>'
)


@pytest.fixture
def image():
    return np.random.RandomState(0).randint(0, 256, (40, 50, 3), np.uint8)


def test_what_is_written_is_read(tmp_path, image):
    write_image(tmp_path / 'deep' / 'a.png', image)
    assert (read_rgb(tmp_path / 'deep' / 'a.png') == image).all()
    assert [p.name for p in (tmp_path / 'deep').iterdir()] == ['a.png']


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_grey_transparent_and_16_bit_images_become_8_bit_rgb(tmp_path, image, suffix):
    grey = image[..., 0]
    path = tmp_path / f'a{suffix}'
    for written, wanted in (
        (ImageData(grey), grey[..., None]),
        (ImageData(image, grey), image),
        (ImageData(grey.astype(np.uint16) * 257), grey[..., None]),
        (ImageData(image.astype(np.uint16) * 257, grey.astype(np.uint16)), image),
    ):
        write_image(path, written)
        assert (read_rgb(path) == wanted).all()
        assert read_image(path).pixels.dtype == written.pixels.dtype
        assert read_image_size(path) == (50, 40)


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp'])
@pytest.mark.parametrize('part', [0.02, 0.9])
def test_a_cut_off_image_is_refused_by_name(tmp_path, image, suffix, part):
    path = tmp_path / f'cut{suffix}'
    write_image(path, image)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=f'cut{suffix}'):
        read_rgb(path)


def test_a_flipped_byte_in_a_png_is_noticed(tmp_path, image):
    path = tmp_path / 'bad.png'
    write_image(path, image)
    spoil_middle(path)
    with pytest.raises(UserError, match='bad.png'):
        read_rgb(path)


def test_missing_and_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match='does not exist'):
        read_rgb(tmp_path / 'none.png')
    for content, reason in (b'', 'is empty'), (b'text', 'is damaged or no image'):
        (tmp_path / 'a.png').write_bytes(content)
        with pytest.raises(UserError, match=f'a.png {reason}'):
            read_image(tmp_path / 'a.png')


def test_a_file_that_the_system_does_not_hand_over_says_why(tmp_path):
    (tmp_path / 'memory.png').symlink_to('/proc/self/mem')
    with pytest.raises(UserError, match='memory.png cannot be read: Input/output error'):
        read_rgb(tmp_path / 'memory.png')


@pytest.mark.parametrize(
    ('name', 'written', 'reason'),
    [
        ('a.xyz', ImageData(np.zeros((2, 2), np.uint8)), 'unknown format; use one of'),
        ('a.jpg', ImageData(*np.zeros((2, 2, 2), np.uint8)), '.jpg cannot hold transparency'),
        ('a.webp', ImageData(np.zeros((2, 2), np.uint16)), '.webp cannot hold 16 bits'),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, name, written, reason):
    with pytest.raises(UserError, match=reason):
        write_image(tmp_path / name, written)
    assert not list(tmp_path.iterdir())


def described(path, image):
    """A file with all kinds of metadata, lying on its side."""
    exif = Image.Exif()
    exif.update({0x010F: 'Camera', 0x011A: 72.0, 0x0112: 6})
    exif[0x8769] = {0x9003: '2020:01:02 03:04:05', 0xA002: 50, 0xA003: 40}
    exif[0x8825] = {1: 'N', 2: (47.0, 8.0, 1.0)}
    options = dict(exif=exif, icc_profile=PROFILE, xmp=XMP)
    Image.fromarray(image).save(path, quality=95, **options)
    return path


@pytest.mark.parametrize(
    'suffix, dtype',
    [(suffix, np.uint8) for suffix in ('.png', '.jpg', '.webp', '.tif')]
    + [(suffix, np.uint16) for suffix in ('.png', '.tif')],
)
def test_metadata_are_kept_and_say_the_new_size(tmp_path, image, suffix, dtype):
    source = described(tmp_path / 'a.jpg', image)
    read = read_image(source)
    with Image.open(source) as opened:
        np.testing.assert_array_equal(read.pixels, np.asarray(ImageOps.exif_transpose(opened)))
    pixels = np.kron(read.pixels, np.ones((2, 2, 1))).astype(dtype)  # 80x100 pixels
    target = tmp_path / f'b{suffix}'
    write_image(target, read._replace(pixels=pixels), software='a test 1.0')
    # A second time changes nothing: what was written is read as it is.
    again = read_image(target)
    assert again.pixels.shape == (100, 80, 3)
    write_image(target, again, software='a test 1.0')
    with Image.open(target) as written:
        exif = written.getexif()
        assert written.size == (80, 100) and exif.get(0x0112, 1) == 1
        assert (exif[0x010F], exif[0x011A], exif[0x0131]) == ('Camera', 72.0, 'a test 1.0')
        details = exif.get_ifd(0x8769)
        assert (details[0xA002], details[0xA003]) == (80, 100)
        assert details[0x9003] == '2020:01:02 03:04:05'
        assert exif.get_ifd(0x8825)[2] == (47.0, 8.0, 1.0)
        assert written.info['icc_profile'] == PROFILE
        assert b'xmp:Rating="3"' in written.info['xmp']
        assert b'<exif:PixelXDimension>80<' in written.info['xmp']
        if suffix == '.png':
            assert written.text['Software'] == 'a test 1.0'


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif', '.bmp', '.ppm'])
def test_metadata_can_be_stripped(tmp_path, image, suffix):
    read = read_image(described(tmp_path / 'a.jpg', image))
    bare = encode_image(ImageData(read.pixels), tmp_path / f'a{suffix}')
    assert encode_image(read, tmp_path / f'a{suffix}', software='x', strip=True) == bare
    (tmp_path / f'bare{suffix}').write_bytes(bare)
    assert read_image(tmp_path / f'bare{suffix}')[2:] == (None, None, None)


def test_metadata_that_do_not_fit_or_are_broken_stop_nothing(tmp_path, image):
    large = XMP.replace(b'3', b'3' * 70000)
    write_image(tmp_path / 'a.jpg', ImageData(image, xmp=large), software='x')
    assert read_image(tmp_path / 'a.jpg').xmp is None
    Image.fromarray(image).save(tmp_path / 'b.jpg', exif=b'Exif\0\0II*\0\xff\xff\xff\xff', xmp=b'<')
    read = read_image(tmp_path / 'b.jpg')
    assert read.pixels.shape == image.shape and read.exif is None
    write_image(tmp_path / 'c.jpg', read)


def test_quality_is_of_lossy_formats(tmp_path, image):
    def size(name, **options):
        return len(encode_image(image, tmp_path / name, **options))

    assert size('a.jpg', quality=30) < size('a.jpg') < size('a.jpg', quality=100)
    assert size('a.webp', quality=30) < size('a.webp')
    assert size('a.png', quality=30) == size('a.png')
    with pytest.raises(UserError, match='quality must be 1 to 100'):
        write_image(tmp_path / 'a.jpg', image, quality=0)


def test_images_of_a_folder(tmp_path, image):
    for name in 'b.png', 'a.JPG', '.hidden', 'notes.txt':
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'folder.png').mkdir()
    assert [p.name for p in list_images(tmp_path)] == ['a.JPG', 'b.png']
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(UserError, match='a.JPG and a.png have the same name'):
        list_images(tmp_path)


@pytest.mark.parametrize('read', [read_rgb, read_image, read_image_size])
def test_bombs_and_programs_are_refused(tmp_path, read):
    write_bomb(tmp_path / 'bomb.png')
    with pytest.raises(UserError, match='bomb.png.* exceeds limit of 178956970 pixels'):
        read(tmp_path / 'bomb.png')
    # Pillow would have Ghostscript run it, whatever the file is called.
    (tmp_path / 'program.png').write_text(
        '%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n'
        '%%EndComments\n(ran) (w) file closefile\n%%EOF\n'
    )
    with pytest.raises(UserError, match='program.png'):
        read(tmp_path / 'program.png')
    assert not (tmp_path / 'ran').exists()
