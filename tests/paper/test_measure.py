"""``csnln measure``: the field's protocol, finished results, and what a model's file keeps."""

import json
import shutil

import numpy as np
import pytest
from command_line import error_in
from tiny_data import smooth_noise
from tiny_network import save_checkpoint

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.cli import main
from csnln_mm.datasets.benchmarks import find_test_sets
from csnln_mm.errors import UserError
from csnln_mm.images import downsample, psnr, read_rgb, ssim, upsample, write_image
from csnln_mm.images.degradation import compress_as_jpeg, mod_crop
from csnln_mm.integrations.safetensors import export_safetensors
from csnln_mm.networks import CSNLNNet
from csnln_mm.paper.measure import collect_images, measure, multiply_adds
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
    (row,) = measure(sets, {'bicubic': 'bicubic'}, 2)
    gts = [smooth_noise(41, 50, 1)[:36, :48], smooth_noise(36, 36, 2)]
    results = [upsample(downsample(gt, 2), 2) for gt in gts]
    expected = np.mean([[psnr(r, g, 2), ssim(r, g, 2)] for r, g in zip(results, gts)], axis=0)
    np.testing.assert_allclose(row.scores['Set5'], expected)
    assert list(row.scores) == ['Set5', 'Mine']
    assert row.parameters is None


def test_other_bands_are_measured_against_their_range(folder):
    gt = (smooth_noise(36, 48, 1).astype(np.uint16) << 4)[..., [0, 1, 2, 0, 1]]
    write_image(folder / 'deep/a.tif', gt)
    network = CSNLNNet(
        mid_channels=4, num_recurrences=1, in_channels=5, out_channels=5, rgb_mean=[0.4] * 5
    )
    methods = {'bicubic': 'bicubic', 'network': Upscaler(network, device='cpu')}
    row, other = measure(collect_images(['deep']), methods, 2)
    inner = [x[2:-2, 2:-2].astype(float) for x in (upsample(downsample(gt, 2), 2), gt)]
    mse = np.square(inner[0] - inner[1]).mean()
    assert row.scores['deep'].psnr == pytest.approx(20 * np.log10(4095 / np.sqrt(mse)), abs=1e-4)
    assert other.multiply_adds and other.scores['deep'].psnr < row.scores['deep'].psnr
    (full,) = measure(collect_images(['deep']), {'bicubic': 'bicubic'}, 2, value_range='full')
    assert full.scores['deep'].psnr == pytest.approx(20 * np.log10(65535 / np.sqrt(mse)), abs=1e-4)
    write_image(folder / 'done/deep/a.tif', upsample(downsample(gt, 2), 2))
    (done,) = measure(collect_images(['deep']), {'done': 'done'}, 2)
    assert done.scores == row.scores
    with pytest.raises(UserError, match='only grey or RGB of 8 bits can be compressed'):
        measure(collect_images(['deep']), {'bicubic': 'bicubic'}, 2, jpeg=(50,))


def test_jpeg_before_upscaling(folder):
    """The less of an image JPEG leaves, the less like it is what is upscaled."""
    sets = collect_images(['sets/Set5'])
    (row,) = measure(sets, {'bicubic': 'bicubic'}, 2, jpeg=(90, 30))
    assert list(row.scores) == ['Set5, JPEG 90', 'Set5, JPEG 30']
    gts = [smooth_noise(41, 50, 1)[:36, :48], smooth_noise(36, 36, 2)]
    results = [upsample(compress_as_jpeg(downsample(gt, 2), 30), 2) for gt in gts]
    expected = np.mean([psnr(r, g, 2) for r, g in zip(results, gts)])
    assert row.scores['Set5, JPEG 30'].psnr == pytest.approx(expected)
    (clean,) = measure(sets, {'bicubic': 'bicubic'}, 2)
    assert clean.scores['Set5'].psnr > row.scores['Set5, JPEG 90'].psnr > expected


def test_multiply_adds_are_those_of_a_result_of_1280x720():
    local = network(cell=dict(branches=('local',)))
    upscaler = Upscaler(local, device='cpu')
    assert multiply_adds(upscaler, 2) == model_size(local, (360, 640)).multiply_adds
    attention = network(cell=dict(branches=('local', 'cross_scale')))
    tiled = multiply_adds(Upscaler(attention, tile=64, overlap=8, device='cpu'), 2)
    tiles = 7 * 12  # they overlap by 8 or more, and begin at even pixels
    assert tiled == tiles * model_size(attention, (64, 64)).multiply_adds


def results(folder, *, name='{}_x2', multiple=12, sets=('Set5', 'Mine')):
    """Finished results of the HR images, bicubic ones, under other names."""
    for test_set in sets:
        for path in find_test_sets(folder / 'sets' / test_set)['']:
            gt = mod_crop(read_rgb(path), multiple)
            result = upsample(downsample(gt, 2), 2)
            write_image(folder / 'results' / test_set / f'{name.format(path.stem)}.png', result)
    return folder / 'results'


@pytest.mark.parametrize('multiple', [12, 2])
def test_finished_results_are_measured_as_if_upscaled_here(folder, multiple):
    """Also where the ground truths were not cropped to multiples of 12."""
    methods = dict(bicubic='bicubic', theirs=results(folder, multiple=multiple))
    ours, theirs = measure(collect_images(['sets']), methods, 2)
    assert list(ours.scores) == list(theirs.scores) == ['Mine', 'Set5']
    for name, score in ours.scores.items():
        assert theirs.scores[name] == pytest.approx(score, rel=1e-12)
    gt = mod_crop(smooth_noise(41, 50, 1), multiple)
    one = psnr(upsample(downsample(gt, 2), 2), gt, 2)
    other = smooth_noise(36, 36, 2)
    mean = (one + psnr(upsample(downsample(other, 2), 2), other, 2)) / 2
    assert ours.scores['Set5'].psnr == pytest.approx(mean, abs=1e-9)


def test_the_command_measures_results_by_folder_and_by_metrics(folder, capsys):
    results(folder, sets=['Set5'])
    metrics = {'Set5/PSNR': 12.345, 'Set5/SSIM': 0.5, 'B100/PSNR': 30, 'B100/SSIM': 0.9}
    (folder / 'm.json').write_text(json.dumps(metrics))
    words = ['--results', 'theirs=results/Set5', 'm.json', '--format', 'markdown']
    assert main(['measure', 'sets/Set5', *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    bicubic, theirs, m = lines[-3:]
    assert theirs.startswith('| theirs ') and bicubic.split('|')[2:] == theirs.split('|')[2:]
    assert m.startswith('| m ') and '12.35 / 0.5000' in m and '30.00 / 0.9000' in m
    assert main(['measure', '--results', 'm.json', '-s', '4']) == 0
    alone = capsys.readouterr().out
    assert 'bicubic' not in alone and '31.35 / 0.8838' in alone and 'VDSR *' in alone


def test_the_table_marks_what_is_quoted(folder, capsys):
    assert main(['measure', 'sets', '-s', '4', '-n', save(folder), '--format', 'markdown']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'Mine' in lines[0] and 'Set5' in lines[0]
    quoted = [line for line in lines if '*' in line]
    assert len(quoted) == 7 and '31.35 / 0.8838' in '\n'.join(quoted)
    assert lines[-2].startswith('| bicubic ')


def test_nothing_is_quoted_beside_images_that_nobody_published_figures_of(folder, capsys):
    assert main(['measure', 'sets/Mine', '-s', '4', '-n', save(folder)]) == 0
    assert '*' not in capsys.readouterr().out


def save(folder):
    return str(save_checkpoint(folder / 'tiny.pth', cell=dict(branches=('local',))))


def test_prepared_test_sets_have_the_name_of_their_folder(folder):
    write_image(folder / 'data/Set5/GTmod12/a.png', smooth_noise(36, 48, 3))
    write_image(folder / 'data/Set5/LRbicx2/a.png', smooth_noise(18, 24, 3))
    assert collect_images(['data/Set5']) == collect_images(['data'])
    assert list(collect_images(['data'])) == ['Set5']


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
        ([], 'name a folder of HR images'),
        (['--results', 'small'], 'name a folder of HR images'),
        (['sets', '--results', 'none.json'], 'none.json does not exist'),
        (['sets', '--results', 'small'], 'small has no folder Mine of results'),
        (['sets/Set5', '--results', 'small'], 'small has no result for b.png'),
        (['sets/Set5', '--results', 'sets/Set5'], 'a.png has 50x41 pixels, which is not the size'),
        (['sets/Set5', '--results', 'small', 'a/../small'], 'two results are named small'),
    ],
)
def test_a_mistake_is_one_line(folder, words, message, capsys):
    write_image(folder / 'small/a.png', smooth_noise(30, 20, 1))
    (folder / 'a').mkdir()
    assert main(['measure', *words, '--device', 'cpu']) == 2
    assert message in error_in(capsys.readouterr().err)  # below the progress
