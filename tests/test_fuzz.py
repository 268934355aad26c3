"""What ``tests/helpers/fuzz.py`` does by the hundred, with 30 files of each format."""

import fuzz
import pytest
from PIL import features

from csnln_mm.images.formats import has_plugin


def skip_unless_written(kind):
    """Where no library for a format is installed."""
    if kind == 'onnx':
        pytest.importorskip('onnxscript')
    if kind == 'avif' and not features.check('avif') or not has_plugin(kind.upper()):
        pytest.skip(f'nothing here writes {kind}')


@pytest.mark.parametrize('kind', fuzz.FORMATS)
def test_changed_files_are_read_or_refused(tmp_path, kind):
    path = tmp_path / 'file.bin'
    skip_unless_written(kind)
    for content in fuzz.mutations(kind, 30, seed=0):
        path.write_bytes(content)
        assert fuzz.read(path, kind) in ('read', 'refused')


@pytest.mark.parametrize('kind', [kind for kind in fuzz.FORMATS if kind != 'onnx'])
def test_the_whole_files_are_read(tmp_path, kind):
    skip_unless_written(kind)
    path = tmp_path / 'file.bin'
    for content in fuzz.whole_files(kind):
        path.write_bytes(content)
        assert fuzz.read(path, kind) == 'read'
