"""``csnln visualize`` as a person types it."""

import os

import pytest
from command_line import refusal
from PIL import Image
from tiny_data import smooth_noise
from tiny_network import save_checkpoint

from csnln_mm.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(smooth_noise(40, 50, 0)).save('gt.png')
    return tmp_path


def run(*words):
    return main(['visualize', *map(str, words)])


def test_compares_an_image(folder):
    words = 'compare', 'gt.png', '--methods', 'bicubic', '--scale', 3, '-o', 'new/out.png'
    assert run(*words) == 0
    assert min(Image.open('new/out.png').size) > 100


def test_compares_a_folder(folder, capsys):
    (folder / 'GT').mkdir()
    for name in 'a', 'b':
        Image.open('gt.png').save(folder / f'GT/{name}.png')
    assert run('compare', 'GT', '--methods', 'bicubic', 'perfect=GT', '-o', 'out') == 0
    assert sorted(os.listdir('out')) == ['a.png', 'b.png', 'table.txt']
    table = (folder / 'out/table.txt').read_text()
    assert table in capsys.readouterr().out
    assert table.splitlines()[-1].split()[4:7] == ['inf', '/', '1.0000']


def test_mistakes_are_one_line(folder, capsys):
    attention = 'attention', 'gt.png', '--at', '3,4', '--checkpoint', 'none.pth', '-o'
    compare = 'compare', 'gt.png', '-o', 'out.png', '--methods'
    for words, message in (
        ([*attention, 'out.png'], 'error: checkpoint none.pth does not exist'),
        ([*attention, folder], 'is a folder; name a file'),
        ([*attention, 'out.txt'], 'unknown format'),
        ([*compare, 'lanczos'], 'is not one of bicubic, csnln-x2'),
        ([*compare, 'bicubic', 'bicubic'], 'two methods'),
    ):
        assert message in refusal(capsys, 'visualize', *words)
    assert os.listdir() == ['gt.png']


def test_a_point_is_two_numbers(capsys):
    with pytest.raises(SystemExit):
        run('matches', 'gt.png', '--at', '3;4', '--checkpoint', 'c.pth', '-o', 'out.png')
    assert "'3;4' is not X,Y" in capsys.readouterr().err


def test_attribution_of_a_pixel(folder, capsys):
    save_checkpoint('c.pth')
    words = 'attribution', 'gt.png', '--at', '3,4', '--checkpoint', 'c.pth', '-o', 'out.png'
    assert run(*words, '--steps', 2, '--window', 24, '--device', 'cpu') == 0
    assert min(Image.open('out.png').size) > 100
    assert capsys.readouterr().out == 'out.png\n'
    assert 'steps must be at least 1' in refusal(capsys, 'visualize', *words, '--steps', 0)
