"""``csnln measure``: the field's protocol, the table, and the scores in a model's file."""

import json
import shutil

import numpy as np
import pytest
from tiny_data import smooth_noise
from tiny_network import save_checkpoint

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.cli import main
from csnln_mm.images import downsample, psnr, ssim, upsample, write_image
from csnln_mm.integrations.safetensors import export_safetensors
from csnln_mm.networks import CSNLNNet
from csnln_mm.paper.measure import collect_images, measure, measured_table, multiply_adds
from csnln_mm.paper.model_size import model_size
from csnln_mm.upscaling import Upscaler


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two test sets in one folder, one of them with a folder HR."""
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / 'sets/Set5/a.png', smooth_noise(41, 50, 1))
    write_image(tmp_path / 'sets/Set5/b.png', smooth_noise(36, 36, 2))
    write_image(tmp_path / 'sets/Mine/HR/a.png', smooth_noise(36, 48, 3))
    return tmp_path


def network(**options):
    return CSNLNNet(mid_channels=4, num_recurrences=1, **options)


def test_means_over_images_cropped_to_multiples_of_12(folder):
    sets = collect_images(['sets/Set5', 'sets/Mine'])
    (row,) = measure(sets, {'bicubic': None}, 2)
    gts = [smooth_noise(41, 50, 1)[:36, :48], smooth_noise(36, 36, 2)]
    results = [upsample(downsample(gt, 2), 2) for gt in gts]
    expected = np.mean([[psnr(r, g, 2), ssim(r, g, 2)] for r, g in zip(results, gts)], axis=0)
    np.testing.assert_allclose(row.scores['Set5'], expected)
    assert list(row.scores) == ['Set5', 'Mine']
    assert row.parameters is None


def test_multiply_adds_are_those_of_a_result_of_1280x720():
    local = network(cell=dict(branches=('local',)))
    upscaler = Upscaler(local, device='cpu')
    assert multiply_adds(upscaler, 2) == model_size(local, (360, 640)).multiply_adds
    attention = network(cell=dict(branches=('local', 'cross_scale')))
    tiled = multiply_adds(Upscaler(attention, tile=64, overlap=16, device='cpu'), 2)
    tiles = 8 * 14  # they overlap by 17 or more, and begin at even pixels
    assert tiled == tiles * model_size(attention, (64, 64)).multiply_adds


def test_the_table_marks_what_is_quoted(folder):
    rows = measure(collect_images(['sets']), {'bicubic': None}, 4)
    lines = measured_table(rows, 4, 'markdown').splitlines()
    assert 'Mine' in lines[0] and 'Set5' in lines[0]
    quoted = [line for line in lines if '*' in line]
    assert len(quoted) == 7 and '31.35 / 0.8838' in '\n'.join(quoted)
    assert lines[-1].startswith('| bicubic ')


def test_nothing_is_quoted_beside_images_that_nobody_published_figures_of(folder):
    rows = measure(collect_images(['sets/Mine']), {'bicubic': None}, 4)
    assert '*' not in measured_table(rows, 4)


def test_the_command_and_what_it_records(folder, capsys):
    export_safetensors(
        save_checkpoint(folder / 'a.pth'), folder / 'a.safetensors', metadata=dict(license='CC0')
    )
    words = ['sets/Set5', '-n', 'a.safetensors', '--device', 'cpu']
    assert main(['measure', *words, '--record']) == 0
    assert main(['measure', 'sets/Mine', *words[1:], '--record']) == 0
    out = capsys.readouterr().out
    assert 'a.safetensors' in out and 'DRRN *' in out and 'seconds' not in out
    meta = load_checkpoint('a.safetensors')['meta']
    assert meta['license'] == 'CC0' and list(json.loads(meta['scores'])) == ['Set5', 'Mine']
    assert f'{json.loads(meta["scores"])["Set5"][0]:.2f}' in out
    assert not list(folder.glob('.*'))


def test_seconds_on_request(folder, capsys):
    shutil.rmtree('sets/Mine')
    save_checkpoint(folder / 'a.pth', cell=dict(branches=('local',)))
    assert main(['measure', 'sets', '-n', 'a.pth', '--device', 'cpu', '--time']) == 0
    assert 'seconds' in capsys.readouterr().out


@pytest.mark.parametrize(
    'words, message',
    [
        (['sets', '--scale', '5'], '--scale must be 2, 3 or 4'),
        (['sets', '-n', 'csnln-x9'], 'neither a checkpoint file nor a model'),
        (['sets/Set5', 'sets/Set5/../Set5'], 'two test sets are named Set5'),
        (['nowhere'], 'nowhere is not a folder'),
        (['small'], 'too small to measure: 20x30'),
    ],
)
def test_a_mistake_is_one_line(folder, words, message, capsys):
    write_image(folder / 'small/a.png', smooth_noise(30, 20, 1))
    assert main(['measure', *words, '--device', 'cpu']) == 2
    assert message in capsys.readouterr().err
