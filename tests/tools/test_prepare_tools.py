"""The command lines that prepare data: what they print, and how they exit."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_data import smooth_noise

from csnln_mm.images.image_file import write_image

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def run(tool, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / tool, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / 'photographs'
    for name in 'a', 'b':
        write_image(folder / f'{name}.png', smooth_noise(48, 60, ord(name)))
    content = (folder / 'a.png').read_bytes()
    (folder / 'cut.png').write_bytes(content[: len(content) // 2])
    return folder


def test_prepare_benchmarks(photographs, tmp_path):
    out = tmp_path / 'out'
    done = run('prepare_benchmarks.py', photographs, out, '--scales', 2)
    assert done.returncode == 1 and 'cut.png is damaged' in done.stderr
    assert '3 images' in done.stdout and '3/3' in done.stdout
    assert sorted(p.name for p in (out / 'LRbicx2').iterdir()) == ['a.png', 'b.png']


def test_prepare_div2k(photographs, tmp_path):
    (photographs / 'cut.png').unlink()
    done = run(
        'prepare_div2k.py',
        tmp_path / 'set',
        '--photographs',
        photographs,
        '--crop-size',
        24,
        '--scales',
        2,
    )
    # 48 x 60 pixels: 3 x 4 squares of 24, one every 12.
    assert done.returncode == 0 and ': 24 sub-images' in done.stdout
