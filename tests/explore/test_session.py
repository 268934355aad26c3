"""What a page may bring, and what is left of it."""

import os
from pathlib import Path

import numpy as np
import pytest
from tiny_network import photograph, save_checkpoint

from csnln_mm.errors import UserError
from csnln_mm.explore.session import Sessions, Stopped, displayable
from csnln_mm.explore.views import Work, image_views, upscale_views
from csnln_mm.images.image_file import ImageData, write_image
from csnln_mm.limits import MAX_SESSIONS


@pytest.fixture
def sessions(tmp_path):
    return Sessions(tmp_path, {}, max_pixels=600)


@pytest.fixture
def uploaded(tmp_path):
    write_image(tmp_path / 'upload/photo.png', photograph(20, 26))
    return tmp_path / 'upload/photo.png'


def test_an_upload_belongs_to_its_session_and_goes_with_it(sessions, uploaded):
    session = sessions.get('a')
    session.take_image(uploaded)
    assert session.path.is_relative_to(session.folder)
    sessions.end('a')
    assert not session.folder.exists() and not uploaded.exists()
    with pytest.raises(Stopped):
        session.write(np.zeros((2, 2, 3), np.uint8))


def test_one_upload_for_several_pages_is_each_pages_own(sessions, uploaded):
    """Gradio stores equal files once, so that pages take the same one."""
    pages = [sessions.get(str(number)) for number in range(10)]
    for page in pages:
        page.take_image(uploaded)
    for page in pages[:-1]:
        page.end()
    assert pages[-1].path.read_bytes()
    assert uploaded.exists()  # as long as a page has it
    pages[-1].end()
    assert not uploaded.exists()


def test_an_upload_that_another_page_brought_again_stays(sessions, uploaded, tmp_path):
    session = sessions.get('a')
    session.take_image(uploaded)
    write_image(tmp_path / 'again.png', photograph(20, 26))
    (tmp_path / 'again.png').replace(uploaded)
    session.forget_image()
    assert uploaded.exists()


def test_what_no_page_opened_and_pages_without_a_sign_of_life_go(sessions, uploaded, tmp_path):
    sessions.folder = tmp_path
    silent, alive = sessions.get('silent'), sessions.get('alive')
    alive.take_image(uploaded)
    write_image(tmp_path / 'own/example.png', photograph(4, 4))
    sessions.keep_what_is_there()
    for name in 'new', 'unopened':
        write_image(tmp_path / name / 'a.png', photograph(4, 4))
    for path in tmp_path.iterdir():
        if path.name != 'new':
            os.utime(path, (0, 0))
    with sessions.heartbeat('alive'):
        for session in silent, alive:
            session.used -= 3600
        sessions.sweep()
        assert len(sessions) == 1 and not silent.folder.exists()
        assert alive.path.exists()
        left = {path.name for path in tmp_path.iterdir()}
        assert left >= {'own', 'new'} and 'unopened' not in left
    assert len(sessions) == 0 and not alive.folder.exists()


def test_pages_have_a_limit(sessions):
    for number in range(MAX_SESSIONS):
        sessions.get(str(number))
    with pytest.raises(UserError, match='pages are open'):
        sessions.get('one more')
    sessions.get('0')


@pytest.mark.parametrize('x, y', [(1e308, 0), (float('nan'), 3), (0, float('inf')), (-0.5, 0)])
def test_absurd_coordinates_are_refused_in_a_sentence(sessions, uploaded, x, y):
    session = sessions.get('a')
    session.take_image(uploaded)
    with pytest.raises(UserError, match='no such pixel: x is from 0 to 25, y from 0 to 19'):
        session.require_pixel(x, y)


def test_a_scale_that_is_cleared_is_asked_for(sessions, uploaded):
    session = sessions.get('a')
    session.take_image(uploaded)
    with pytest.raises(UserError, match='give a scale from 1 to 8'):
        upscale_views(session, 'csnln-x2-fast', None, None, False, Work(session, None))


def test_another_image_ends_the_work_on_the_first(sessions, uploaded):
    session = sessions.get('a')
    session.take_image(uploaded, keep=True)
    result, check = session.write(session.image), session.work()
    check()
    session.take_image(uploaded, keep=True)
    with pytest.raises(Stopped):
        check()
    assert not Path(result).exists()


def test_messages_name_the_file_as_the_user_does(sessions, uploaded):
    session = sessions.get('a')
    session.max_pixels = 100
    with pytest.raises(UserError, match=r'^photo.png has 26x20 pixels, more than the limit of 100'):
        session.take_image(uploaded)
    assert session.image is None and not list(session.folder.rglob('*.png'))


def test_a_checkpoint_is_loaded_for_this_session_alone(sessions, tmp_path):
    name = sessions.get('a').take_checkpoint(save_checkpoint(tmp_path / 'mine.pth'))
    assert name == 'mine'
    assert sessions.get('a').networks['mine'].upscale_factor == 2
    assert 'mine' not in sessions.get('b').networks


def test_transparency_is_shown_on_white():
    image = ImageData(np.zeros((1, 2, 3), np.uint8), alpha=np.array([[0, 255]], np.uint8))
    assert displayable(image)[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    'quality, hint', [(80, '. For lossy files there is csnln-x2-photo.'), (95, '')]
)
def test_the_model_for_lossy_files_is_pointed_out(tmp_path, quality, hint):
    networks = dict.fromkeys(['csnln-x2-fast', 'csnln-x2-photo'])
    session = Sessions(tmp_path, networks, max_pixels=600).get('a')
    write_image(tmp_path / 'upload/photo.jpg', photograph(20, 26), quality=quality)
    session.take_image(tmp_path / 'upload/photo.jpg')
    assert image_views(session)[1] == f'photo.jpg, 26x20, 8 bits{hint}'
