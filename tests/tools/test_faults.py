"""Bad data and bad configs through the command lines: one line, exit status 2, no traceback."""

import sys

import pytest
import torch
from command_line import ROOT, run
from damage import cut_off, spoil_middle
from forked_tool import error_of
from short_training import CONFIG, make_data, settings

from csnln_mm.mmagic.check_config import build_parts
from csnln_mm.mmagic.config import load_config

pytestmark = pytest.mark.slow

OPTIONS = settings(4)
TRAIN = 'train.py', CONFIG, *OPTIONS
TEST = 'test.py', CONFIG, 'tiny.pth', '--cfg-options', 'model.generator.mid_channels=4'


@pytest.fixture
def folder(tmp_path):
    make_data(tmp_path, tests=2)
    cfg = load_config(str(CONFIG), options={'model.generator.mid_channels': 4})
    torch.save(dict(state_dict=build_parts(cfg).state_dict()), tmp_path / 'tiny.pth')
    return tmp_path


@pytest.mark.parametrize('damage', [cut_off, spoil_middle])
@pytest.mark.parametrize('command, image', [(TRAIN, 'train/LRbicx2/2'), (TEST, 'test/GTmod12/1')])
def test_a_bad_image_is_named(folder, damage, command, image):
    """Before the first step if the end of the file is missing, else when it is read."""
    damage(folder / f'data/demo/{image}.png')
    line = error_of(folder, *command, 'val_dataloader.num_workers=1')
    assert f': data/demo/{image}.png is damaged or no image' in line
    assert (folder / 'work_dirs').exists() == (damage is spoil_middle)


def test_processes_are_not_started_with_a_mistake(folder):
    """The line alone."""
    cut_off(folder / 'data/demo/train/GTmod12/3.png')
    dist_train = 'bash', ROOT / 'tools/dist_train.sh', CONFIG, 2, *OPTIONS
    (line,) = run(*dist_train, cwd=folder, expect=2).splitlines()
    assert line.startswith('csnln: error: ')
    assert line.endswith('images: data/demo/train/GTmod12/3.png is damaged or no image')


def test_the_failure_of_a_process_is_the_last_line(tmp_path):
    """After what torchrun prints, and with its exit status."""
    (tmp_path / 'fail.py').write_text("""
import os, sys, time
from csnln_mm.cli import exit_status
from csnln_mm.errors import UserError

def work():
    if os.environ['RANK'] == '0':
        time.sleep(100)
    raise UserError('an image is damaged')

sys.exit(exit_status(work))
""")
    command = [sys.executable, ROOT / 'tools/dist_run.py', '--standalone', '--nproc_per_node=2']
    output = run(*command, 'fail.py', cwd=tmp_path, expect=2)
    assert output.splitlines()[-1] == 'csnln: error: an image is damaged'
