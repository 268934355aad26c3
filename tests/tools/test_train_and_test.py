"""Training and testing through the command lines."""

import json
import os
import re
from pathlib import Path

import mmagic
import pytest
import torch
from command_line import ROOT, error_in, free_port, refusal
from damage import spoil_middle
from forked_job import Rank
from forked_tool import end_of, error_of, run_tool, start_tool
from short_training import CONFIG, assert_same, make_data, settings
from tiny_data import make_benchmark

from csnln_mm.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('run'), tests=2)


@pytest.fixture(scope='module')
def trained(folder):
    options = settings(4, **{'default_hooks.checkpoint.interval': 2, 'train_cfg.val_interval': 4})
    output = run_tool(folder, 'train.py', CONFIG, '--work-dir', 'alone', *options)
    return folder / 'alone', output


def test_training_alone(trained):
    work_dir, output = trained
    losses = [float(x) for x in re.findall(r'Iter\(train\).*?loss: ([\d.]+)', output)]
    assert len(losses) == 4
    # Beside the logs, not in a folder of MMagic's choosing.
    assert {'iter_2.pth', 'iter_4.pth', 'last_checkpoint'} <= set(os.listdir(work_dir))
    before, after = (load_checkpoint(work_dir / f'iter_{i}.pth')['state_dict'] for i in (2, 4))
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_testing_writes_metrics_and_images(trained, folder):
    words = CONFIG, 'alone/iter_4.pth', '--out', 'results/metrics.json'
    model = '--cfg-options', 'model.generator.mid_channels=4'
    run_tool(folder, 'test.py', *words, '--save-images', 'images', *model)
    metrics = json.loads((folder / 'results/metrics.json').read_text())
    assert 15 < metrics['PSNR'] < 60 and 0 < metrics['SSIM'] <= 1
    assert sorted(p.name for p in (folder / 'images/test').iterdir()) == ['0.png', '1.png']


def test_mmagics_own_tools_do_the_same(trained, folder):
    """With the same config, checkpoint and seed; they know less of what can go wrong."""
    tools = Path(mmagic.__file__).parent / '.mim/tools'
    words = CONFIG, 'alone/iter_4.pth', '--out', 'ours.json'
    model = '--cfg-options', 'model.generator.mid_channels=4'
    run_tool(folder, 'test.py', *words, *model)
    words = CONFIG, 'alone/iter_4.pth', '--out', 'theirs.json', '--work-dir', 'theirs'
    workers = [f'test_dataloader.0.{x}' for x in ('num_workers=0', 'persistent_workers=False')]
    run_tool(folder, tools / 'test.py', *words, *model, *workers)
    ours, theirs = (
        json.loads((folder / f'{name}.json').read_text()) for name in ('ours', 'theirs')
    )
    assert theirs == pytest.approx(ours)
    options = settings(4, **{'train_cfg.val_interval': 4})
    run_tool(folder, tools / 'train.py', CONFIG, '--work-dir', 'theirs', *options)
    ours, theirs = (load_checkpoint(folder / name / 'iter_4.pth') for name in ('alone', 'theirs'))
    assert_same(ours['state_dict'], theirs['state_dict'])


def test_mistakes_are_one_clear_line(trained, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    good = folder / 'alone/iter_4.pth'
    (folder / 'cut.pth').write_bytes(good.read_bytes()[:1000])
    (folder / 'broken.py').write_text('model = dict(')
    for message, *words in (
        ('nowhere.py does not exist', 'train', 'nowhere.py'),
        ('broken.py', 'train', 'broken.py'),
        ('cut.pth is cut off', 'test', CONFIG, 'cut.pth'),
        ('trained with mid_channels=4, not 16', 'test', CONFIG, good),
        ('name a checkpoint', 'test', CONFIG),
    ):
        assert message in refusal(capsys, *words)
    assert 'no test images' in error_of(folder, 'test.py', ROOT / 'configs/bicubic_x4.py')


def metrics_of_each(path):
    return {image['image']: image for image in json.loads(path.read_text())}


def test_shares_of_a_test_make_up_the_whole(tmp_path):
    make_benchmark(tmp_path / 'data', 3)
    words = 'csnln-x2-fast', '--data', 'data', '--per-image'
    run_tool(tmp_path, 'test.py', *words, 'whole.json')
    shares = {}
    for k in 1, 2:
        output = run_tool(tmp_path, 'test.py', *words, f'{k}.json', '--shard', f'{k}/2')
        assert f'share {k}/2 of the images, by --shard' in output
        share = metrics_of_each(tmp_path / f'{k}.json')
        assert len(share) == 3 - k
        shares |= share
    assert shares == metrics_of_each(tmp_path / 'whole.json')
    assert 'share 4/4 has no image' in run_tool(
        tmp_path, 'test.py', *words, '4.json', '--shard', '4/4', expect=2
    )


def test_processes_of_a_launcher_test_together(tmp_path):
    """Also if --launcher does not say so: not each of them all images."""
    make_benchmark(tmp_path / 'data', 3)
    words = 'csnln-x2-fast', '--data', 'data', '--out', 'one.json', '--per-image', 'one_each.json'
    run_tool(tmp_path, 'test.py', *words)
    words = [word.replace('one', 'two') for word in words]
    port = free_port()
    job = [
        start_tool(tmp_path, 'test.py', words, output=f'{k}.txt', fault=Rank(k, 2, port))
        for k in (0, 1)
    ]
    assert [end_of(process) for process in job] == [0, 0]
    first, second = ((tmp_path / f'{k}.txt').read_text() for k in (0, 1))
    assert first.startswith('2 processes share the images, by RANK\n')
    assert re.search(r'^data/PSNR +\d', first, re.M) and not re.search('^data/PSNR', second, re.M)
    one, two = (json.loads((tmp_path / f'{name}.json').read_text()) for name in ('one', 'two'))
    assert one == pytest.approx(two, abs=1e-6) and one
    assert (tmp_path / 'one_each.json').read_text() == (tmp_path / 'two_each.json').read_text()


def test_a_process_of_a_test_fails_and_the_other_says_that_it_has_ended(tmp_path):
    make_benchmark(tmp_path / 'data', 4)
    words = 'csnln-x2-fast', '--data', 'data'
    port = free_port()
    spoil_middle(tmp_path / 'data/GTmod12/3.png')
    job = [
        start_tool(tmp_path, 'test.py', words, output=f'{k}.txt', fault=Rank(k, 2, port))
        for k in (0, 1)
    ]
    assert [end_of(process) for process in job] == [2, 2]
    other, failed = (error_in((tmp_path / f'{k}.txt').read_text()) for k in (0, 1))
    assert 'data/GTmod12/3.png is damaged or no image' in failed
    assert other.endswith('another of its processes has ended, or cannot be reached')
