"""The documentation as a site."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_builds_without_a_warning(tmp_path):
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', ROOT / 'docs', tmp_path]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    for page in (ROOT / 'docs').glob('*.md'):
        assert (tmp_path / f'{page.stem}.html').exists()
    reference = (tmp_path / 'api.html').read_text()
    assert 'csnln_mm.ops.cross_scale_attention' in reference
    assert 'Parts of your own' in (tmp_path / 'contributing.html').read_text()
