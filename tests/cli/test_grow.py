"""``csnln grow``: the file it writes, and its mistakes."""

import numpy as np
import pytest
from command_line import refusal
from tiny_data import smooth_noise
from tiny_network import close, names, photograph, save_checkpoint

from csnln_mm.checkpoints.network import read_network
from csnln_mm.cli import main
from csnln_mm.images import write_image
from csnln_mm.upscaling import Upscaler


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_checkpoint('small.pth', num_recurrences=2, cell=dict(branches=('local',)))
    for name in 'ab':
        write_image(tmp_path / f'images/{name}.png', smooth_noise(40, 60, ord(name)))
    return tmp_path


def test_attention(capsys):
    words = ['--attention', 'cross_scale', '--recurrences', '1', '--images', 'images']
    assert main(['grow', 'small.pth', 'large.safetensors', *words]) == 0
    assert capsys.readouterr().out.startswith('large.safetensors: x2, ')
    large = read_network('large.safetensors')
    assert large.architecture['cell'] == dict(branches=['local', 'cross_scale'], stages=[2])
    assert large.architecture['attention_recurrences'] == [1]
    small, grown = (
        Upscaler(name, device='cpu', tile=0) for name in ('small.pth', 'large.safetensors')
    )
    close(grown(photograph()), small(photograph()), 1)


def test_scale():
    assert main(['grow', 'small.pth', 'x3.safetensors', '--scale', '3']) == 0
    assert Upscaler('x3.safetensors', device='cpu').scale == 3


def test_scale_of_a_network_with_attention():
    cell = dict(branches=('local', 'cross_scale'), stages=(2,))
    save_checkpoint('attention.pth', num_recurrences=2, cell=cell)
    assert main(['grow', 'attention.pth', 'x4.safetensors', '--scale', '4']) == 0
    assert read_network('x4.safetensors').architecture['cell']['stages'] == [4]


@pytest.mark.parametrize('words, scale', [([], 2), (['--scale', '4'], 4)], ids=str)
def test_more_recurrences(words, scale):
    assert main(['grow', 'small.pth', 'deep.safetensors', '--num-recurrences', '3', *words]) == 0
    deep = read_network('deep.safetensors').network
    assert (deep.num_recurrences, deep.upscale_factor) == (3, scale)


@pytest.mark.parametrize('channels', [1, 4])
def test_other_channels(channels, capsys):
    assert main(['grow', 'small.pth', 'bands.safetensors', '--channels', str(channels)]) == 0
    assert f'x2, bands: {channels}, ' in capsys.readouterr().out
    small, grown = (
        Upscaler(name, device='cpu', tile=0) for name in ('small.pth', 'bands.safetensors')
    )
    grey = photograph()[..., 0]
    together = grown(np.stack([grey] * channels, -1))
    assert together.shape[2] == channels
    for band in range(channels):
        close(together[..., band], small(grey), 1)


@pytest.mark.parametrize(
    'words, message',
    [
        (['small.pth'], 'give --attention, --scale, --channels or --num-recurrences'),
        (['small.pth', '--num-recurrences', '1'], 'small.pth: the network has more than 1 recurr'),
        (['small.pth', '--attention', 'in_scale'], '--attention needs --images'),
        (['small.pth', '--scale', '4', '--recurrences', '1'], '--recurrences is for --attention'),
        (['small.pth', '--scale', '4', '--images', 'images'], '--images is for --attention'),
        (['small.pth', '--attention', 'in_scale', '--images', '.'], 'there are no images in .'),
        (
            ['small.pth', '--attention', 'in_scale', '--images', 'images', '--recurrences', '3'],
            'small.pth: attention_recurrences must lie in 1 to 2',
        ),
        (['csnln-x9', '--scale', '4'], 'csnln-x9 is neither'),
        (['all.pth', '--attention', 'in_scale', '--images', 'images'], 'do not fit the network'),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(words, message, folder, capsys):
    save_checkpoint('all.pth')
    before = names(folder)
    source, *options = words
    assert message in refusal(capsys, 'grow', source, 'out.safetensors', *options)
    assert names(folder) == before
