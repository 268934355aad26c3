"""Training and testing through the command lines."""

import json
import os
import re

import pytest
import torch
from command_line import CONFIG, MODEL, OPTIONS, ROOT, error_of
from forked_tool import run_tool
from tiny_data import make_benchmark

from csnln_mm.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    make_benchmark(folder / 'data/demo/train', 4, size=(72, 84))
    make_benchmark(folder / 'data/demo/test', 2)
    return folder


@pytest.fixture(scope='module')
def trained(folder):
    output = run_tool(folder, 'train.py', CONFIG, '--work-dir', 'alone', *OPTIONS)
    return folder / 'alone', output


def test_training_alone(trained):
    work_dir, output = trained
    losses = [float(x) for x in re.findall(r'Iter\(train\).*?loss: ([\d.]+)', output)]
    assert len(losses) == 4
    # Beside the logs, not in a folder of the toolbox's choosing.
    assert {'iter_2.pth', 'iter_4.pth', 'last_checkpoint'} <= set(os.listdir(work_dir))
    before, after = (load_checkpoint(work_dir / f'iter_{i}.pth')['state_dict'] for i in (2, 4))
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_testing_writes_metrics_and_pictures(trained, folder):
    words = CONFIG, 'alone/iter_4.pth', '--out', 'results/metrics.json'
    run_tool(folder, 'test.py', *words, '--save-images', 'pictures', *MODEL)
    metrics = json.loads((folder / 'results/metrics.json').read_text())
    assert 15 < metrics['PSNR'] < 60 and 0 < metrics['SSIM'] <= 1
    assert sorted(p.name for p in (folder / 'pictures/test').iterdir()) == ['0.png', '1.png']


def test_mistakes_are_one_clear_line(trained, folder):
    good = folder / 'alone/iter_4.pth'
    (folder / 'cut.pth').write_bytes(good.read_bytes()[:1000])
    (folder / 'broken.py').write_text('model = dict(')
    assert 'nowhere.py does not exist' in error_of('train.py', 'nowhere.py', cwd=folder)
    assert 'broken.py' in error_of('train.py', 'broken.py', cwd=folder)
    assert 'cut.pth is cut off' in error_of('test.py', CONFIG, 'cut.pth', cwd=folder)
    assert 'trained with mid_channels=4, not 16' in error_of('test.py', CONFIG, good, cwd=folder)
    assert 'name a checkpoint' in error_of('test.py', CONFIG, cwd=folder)
    bicubic = ROOT / 'configs/bicubic_x4.py'
    assert 'no test images' in error_of('test.py', bicubic, cwd=folder)
