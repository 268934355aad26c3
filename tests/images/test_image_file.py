import io
import struct
import threading

import numpy as np
import pytest
import tifffile
from damage import png_chunk, spoil_middle, write_bomb
from PIL import Image, ImageCms, ImageOps
from tiny_data import smooth_noise

from csnln_mm import limits
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import (
    ImageData,
    encode_image,
    list_images,
    read_header,
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
        ('a.webp', ImageData(np.zeros((2, 16384), np.uint8)), 'up to 16383 pixels a side'),
        ('a.jpg', ImageData(np.zeros((65501, 1), np.uint8)), 'up to 65500 pixels a side'),
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
    bare = read_image(tmp_path / f'bare{suffix}')
    assert bare[2:5] == (None, None, None) and not bare.texts


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


def test_the_header_says_what_is_read(tmp_path, image):
    """Size after rotation, depth, transparency and program, without decoding."""
    path, grey = tmp_path / 'a.png', image[..., 0]
    deep, deep_grey, exif = image.astype(np.uint16), grey.astype(np.uint16), Image.Exif()
    arrangements = [(grey, None), (image, grey), (deep_grey, None), (deep, deep_grey)]
    written = [
        encode_image(ImageData(pixels, alpha), tmp_path / f'a{suffix}', software='a test')
        for suffix in ('.png', '.tif', '.webp')
        for pixels, alpha in arrangements
        if suffix != '.webp' or pixels.dtype == np.uint8
    ]
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        for kind in 'JPEG', 'PNG', 'TIFF', 'WEBP':
            file = io.BytesIO()
            Image.fromarray(image).save(file, kind, exif=exif)
            written.append(file.getvalue())
    for mode in 'P', 'L', '1':
        file = io.BytesIO()
        Image.fromarray(image).convert(mode).save(file, 'PNG', transparency=1)
        written.append(file.getvalue())
    for content in written:
        path.write_bytes(content)
        header, read = read_header(path), read_image(path)
        assert header._replace(software='', lossy=False, by_rows=False, kind='') == read.header
        if b'a test' in content:
            assert header.software == 'a test'


@pytest.mark.parametrize(
    'kind, options, lossy',
    [
        ('JPEG', dict(quality=30), True),
        ('JPEG', dict(quality=92), True),
        ('JPEG', dict(quality=95), False),  # too little for a model of its own
        ('WEBP', dict(quality=80), True),
        ('WEBP', dict(quality=80, icc_profile=b'x', exif=b'Exif\0\0'), True),
        ('WEBP', dict(lossless=True), False),
        ('TIFF', dict(compression='jpeg'), True),
        ('TIFF', dict(compression='tiff_lzw'), False),
        ('PNG', {}, False),
    ],
)
def test_the_header_says_whether_compression_has_changed_the_image(
    tmp_path, image, kind, options, lossy
):
    Image.fromarray(image).save(tmp_path / 'a', kind, **options)
    assert read_header(tmp_path / 'a').lossy == lossy


def test_a_rotation_behind_the_pixels_of_a_png(tmp_path, image):
    """As exiftool writes it; the header does not say so, and what is read does."""
    path, exif = tmp_path / 'a.png', Image.Exif()
    exif[0x0112] = 6
    content = encode_image(image, path)
    chunk = png_chunk(b'eXIf', exif.tobytes().removeprefix(b'Exif\0\0'))
    path.write_bytes(content[:-12] + chunk + content[-12:])
    assert read_header(path).size == (50, 40)
    np.testing.assert_array_equal(read_image(path).pixels, np.rot90(image, -1))


def test_a_decoder_whose_answer_is_not_what_the_header_says(tmp_path, image, monkeypatch):
    # Three images in depth, of which Pillow's header tells nothing.
    planes = np.zeros((3, 20, 26), np.uint16)
    path = tmp_path / 'volume.tif'
    tag = 65000, 'I', 1, 3, True
    tifffile.imwrite(path, planes, photometric='rgb', planarconfig='separate', extratags=[tag])
    content, depth = path.read_bytes(), struct.pack('<HHII', 32997, 4, 1, 3)
    path.write_bytes(content.replace(struct.pack('<HHII', *tag[:1], 4, 1, 3), depth))
    with pytest.raises(
        UserError, match=r'volume.tif: an arrangement .* not supported: \(3, 3, 20, 26\)'
    ):
        read_image(path)
    # Stand-ins for decoders that are wrong.
    path = tmp_path / 'deep.png'
    write_image(path, image.astype(np.uint16))
    for answer in np.zeros((40, 49, 3), np.uint16), np.zeros((2, 40, 50, 3), np.uint16):
        monkeypatch.setattr('cv2.imdecode', lambda *args, answer=answer: answer)
        with pytest.raises(UserError, match='deep.png is damaged: .* header says 50x40 pixels'):
            read_image(path)


@pytest.mark.parametrize(
    'limit, value, reason',
    [
        ('JPEG_SCANS', 5, 'is refused: it has [0-9]+ scans'),
        ('IMAGE_BYTES_PER_PIXEL', 2**60, 'reading 24x20 pixels takes about .* GB are free'),
    ],
)
def test_what_takes_too_much_time_or_memory(tmp_path, monkeypatch, limit, value, reason):
    """The limits are lowered: an ordinary progressive JPEG stands in for a file made to be slow."""
    Image.fromarray(smooth_noise(20, 24, 0)).save(tmp_path / 'a.jpg', progressive=True)
    assert read_image(tmp_path / 'a.jpg').size == (24, 20)
    monkeypatch.setattr(limits, 'LARGE_IMAGE_PIXELS', 1)
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises(UserError, match=f'a.jpg.* {reason}'):
        read_image(tmp_path / 'a.jpg')


@pytest.mark.parametrize('asks_for_more', [True, False])
def test_a_decoder_that_never_ends_is_left(tmp_path, monkeypatch, asks_for_more):
    """A stand-in; one that reads the file again and again ends, since it gets no more of it."""
    write_image(tmp_path / 'a.png', smooth_noise(20, 24, 0).astype(np.uint16))
    done, threads = threading.Event(), []

    def read(file, *_):
        threads.append(threading.current_thread())
        while not done.is_set():
            if asks_for_more:
                file.seek(0)
                file.read(9)

    monkeypatch.setattr(limits, 'DECODING_SECONDS', 0.2)
    try:
        with monkeypatch.context() as patch:
            patch.setattr('csnln_mm.images.image_file._read_16_bits', read)
            with pytest.raises(UserError, match='a.png is refused: decoding it takes too long'):
                read_image(tmp_path / 'a.png')
        assert read_image(tmp_path / 'a.png').size == (24, 20)
        if asks_for_more:
            threads[0].join()
    finally:
        done.set()


def test_memory_that_does_not_suffice_is_told_in_one_line(tmp_path, monkeypatch):
    def decode(*_):
        raise MemoryError

    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    monkeypatch.setattr('csnln_mm.images.image_file._read_8_bits', decode)
    with pytest.raises(UserError, match='a.png cannot be read: there is not enough memory$'):
        read_image(tmp_path / 'a.png')
