"""tools/upscale.py as a person types it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

TOOL = Path(__file__).parents[2] / 'tools' / 'upscale.py'
CONFIG = """
model = dict(
    type='CSNLNEditor',
    generator=dict(type='CSNLNNet', mid_channels=2, num_recurrences=1, image_skip=True),
    pixel_loss=dict(type='L1Loss'),
    data_preprocessor=dict(type='DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))
"""


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    from csnln_mm.networks import CSNLNNet

    network = CSNLNNet(mid_channels=2, num_recurrences=1, image_skip=True)
    state_dict = {f'generator.{key}': value for key, value in network.state_dict().items()}
    path = tmp_path_factory.mktemp('checkpoint') / 'tiny.pth'
    torch.save(dict(meta=dict(cfg=CONFIG), state_dict=state_dict), path)
    return path


def run(*args, cwd):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, args)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_enlarges_and_tells_what_failed(checkpoint, tmp_path):
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save(tmp_path / 'a.png')
    (tmp_path / 'b.jpg').write_text('hello')
    done = run('*.*', '-o', 'out', '--checkpoint', checkpoint, '--device', 'cpu', cwd=tmp_path)
    assert done.returncode == 1
    assert '[1/2] a.png: 9x7 to 18x14, in one piece' in done.stdout
    assert '1 done, 0 skipped because the result exists, 1 failed' in done.stdout
    assert done.stderr.strip().endswith('b.jpg is damaged or no image')
    assert Image.open(tmp_path / 'out' / 'a.png').size == (18, 14)
    # Everything is there: the checkpoint is not even looked at.
    done = run('a.png', '-o', 'out', '--checkpoint', 'none.pth', cwd=tmp_path)
    assert done.returncode == 0 and '1 skipped' in done.stdout


def test_a_wrong_argument_is_one_line(tmp_path):
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save(tmp_path / 'a.png')
    done = run('a.png', '-o', 'out', '--checkpoint', 'none.pth', cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == 'error: checkpoint none.pth does not exist\n'


def test_help_is_quick_and_names_everything(tmp_path):
    text = run('--help', cwd=tmp_path).stdout
    for option in (
        '--tile',
        '--overlap',
        '--ensemble',
        '--device',
        '--amp',
        '--dtype',
        '--format',
        '--recursive',
        '--overwrite',
        '--checkpoint',
        '--config',
    ):
        assert option in text
