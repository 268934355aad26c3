"""What a page may bring, and what is left of it."""

from pathlib import Path

import numpy as np
import pytest
from tiny_network import photograph, save_checkpoint

from csnln_mm.errors import UserError
from csnln_mm.explore.session import Sessions, Stopped, displayable
from csnln_mm.images.image_file import ImageData, write_image


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
    assert not uploaded.exists()
    assert session.path.is_relative_to(session.folder)
    sessions.end('a')
    assert not session.folder.exists()
    with pytest.raises(Stopped):
        session.write(np.zeros((2, 2, 3), np.uint8))


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
