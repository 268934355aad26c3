"""``csnln prepare``: what it prints, and how it exits."""

import pytest
from damage import cut_off
from tiny_data import smooth_noise

from csnln_mm.cli import main
from csnln_mm.images.image_file import write_image

pytestmark = pytest.mark.slow


def run(*words):
    return main(['prepare', *map(str, words)])


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    for name in 'a', 'b':
        write_image(folder / f'{name}.png', smooth_noise(48, 60, ord(name)))
    write_image(folder / 'cut.png', smooth_noise(48, 60, 1))
    cut_off(folder / 'cut.png')
    return folder


def test_benchmarks(images, tmp_path, capfd):
    out = tmp_path / 'out'
    assert run('benchmarks', images, out, '--scales', 2) == 1
    told = capfd.readouterr()
    assert 'cut.png is damaged' in told.err and '3 images' in told.out
    assert sorted(p.name for p in (out / 'LRbicx2').iterdir()) == ['a.png', 'b.png']


def test_div2k(images, tmp_path, capfd):
    (images / 'cut.png').unlink()
    options = '--images', images, '--crop-size', 24, '--scales', 2
    assert run('div2k', tmp_path / 'set', *options) == 0
    # 48 x 60 pixels: 3 x 4 squares of 24, one every 12.
    assert ': 24 sub-images' in capfd.readouterr().out


@pytest.mark.parametrize('number', ['0', 'two'])
def test_processes_is_at_least_one(images, tmp_path, number, capsys):
    with pytest.raises(SystemExit):
        run('benchmarks', images, tmp_path / 'out', '--processes', number)
    assert '--processes' in capsys.readouterr().err
