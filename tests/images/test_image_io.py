import cv2
import numpy as np
import pytest
from damage import write_bomb

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_picture
from csnln_mm.images.image_io import images_in, read_image, write_image


@pytest.fixture
def picture():
    return np.random.RandomState(0).randint(0, 256, (40, 50, 3), np.uint8)


def test_what_is_written_is_read(tmp_path, picture):
    write_image(tmp_path / 'deep' / 'a.png', picture)
    assert (read_image(tmp_path / 'deep' / 'a.png') == picture).all()
    assert [p.name for p in (tmp_path / 'deep').iterdir()] == ['a.png']


def test_grey_transparent_and_16_bit_pictures_become_8_bit_rgb(tmp_path, picture):
    grey = picture[..., 0]
    write_image(tmp_path / 'grey.png', grey)
    assert (read_image(tmp_path / 'grey.png') == grey[..., None]).all()
    write_image(tmp_path / 'alpha.png', np.dstack([picture, grey]))
    assert (read_image(tmp_path / 'alpha.png') == picture).all()
    cv2.imwrite(str(tmp_path / 'deep.png'), grey.astype(np.uint16) * 257)
    assert (read_image(tmp_path / 'deep.png') == grey[..., None]).all()


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp'])
@pytest.mark.parametrize('part', [0, 0.02, 0.5, 0.9])
def test_a_cut_off_picture_is_refused_by_name(tmp_path, picture, suffix, part):
    path = tmp_path / f'cut{suffix}'
    write_image(path, picture)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=f'cut{suffix}'):
        read_image(path)


def test_a_flipped_byte_in_a_png_is_noticed(tmp_path, picture):
    path = tmp_path / 'bad.png'
    write_image(path, picture)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match='bad.png'):
        read_image(path)


def test_missing_and_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match='does not exist'):
        read_image(tmp_path / 'none.png')
    (tmp_path / 'text.png').write_text('not a picture')
    with pytest.raises(UserError, match='text.png is damaged or no image'):
        read_image(tmp_path / 'text.png')


def test_a_file_that_the_system_does_not_hand_over_says_why(tmp_path):
    (tmp_path / 'memory.png').symlink_to('/proc/self/mem')
    with pytest.raises(UserError, match='memory.png cannot be read: Input/output error'):
        read_image(tmp_path / 'memory.png')


def test_a_format_that_cannot_be_written_is_refused(tmp_path, picture):
    with pytest.raises(OSError, match='cannot encode .*a.xyz'):
        write_image(tmp_path / 'a.xyz', picture)
    assert not list(tmp_path.iterdir())


def test_images_of_a_folder(tmp_path, picture):
    for name in 'b.png', 'a.JPG', '.hidden', 'notes.txt':
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'folder.png').mkdir()
    assert [p.name for p in images_in(tmp_path)] == ['a.JPG', 'b.png']
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(UserError, match='a.JPG and a.png have the same name'):
        images_in(tmp_path)


@pytest.mark.parametrize('read', [read_image, read_picture])
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
