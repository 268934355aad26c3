"""The documentation as a site."""

import sys

import pytest
from command_line import ROOT, run


@pytest.mark.slow
def test_it_builds_without_a_warning(tmp_path):
    run(sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', ROOT / 'docs', tmp_path)
    for page in (ROOT / 'docs').glob('*.md'):
        assert (tmp_path / f'{page.stem}.html').exists()
    reference = (tmp_path / 'api.html').read_text()
    assert 'csnln_mm.ops.cross_scale_attention' in reference
    assert 'Parts of your own' in (tmp_path / 'contributing.html').read_text()
