"""tools/visualize.py as a person types it."""

import subprocess
import sys
from pathlib import Path

from PIL import Image
from tiny_data import smooth_noise

TOOL = Path(__file__).parents[2] / 'tools' / 'visualize.py'


def run(*args, cwd):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, args)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_compares(tmp_path):
    Image.fromarray(smooth_noise(40, 50, 0)).save(tmp_path / 'gt.png')
    done = run(
        'compare', 'gt.png', '--methods', 'bicubic', '--scale', 3, '-o', 'new/out.png', cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert min(Image.open(tmp_path / 'new' / 'out.png').size) > 100


def test_a_missing_checkpoint_is_one_line(tmp_path):
    Image.fromarray(smooth_noise(40, 50, 0)).save(tmp_path / 'a.png')
    done = run(
        'attention',
        'a.png',
        '--at',
        '3,4',
        '--checkpoint',
        'none.pth',
        '-o',
        'out.png',
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr == 'error: checkpoint none.pth does not exist\n'
    assert not (tmp_path / 'out.png').exists()


def test_a_point_is_two_numbers(tmp_path):
    done = run(
        'matches', 'a.png', '--at', '3;4', '--checkpoint', 'c.pth', '-o', 'out.png', cwd=tmp_path
    )
    assert done.returncode == 2 and "'3;4' is not X,Y" in done.stderr
