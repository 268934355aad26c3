import pytest
from tiny_network import save_checkpoint


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp('checkpoint') / 'tiny.pth')


@pytest.fixture(scope='session')
def plain(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp('plain') / 'plain.pth', plain=True)
