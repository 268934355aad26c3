"""What ``tests/helpers/fuzz.py`` does by the hundred, with 30 files of each format."""

import fuzz
import pytest


@pytest.mark.parametrize('kind', fuzz.FORMATS)
def test_changed_files_are_read_or_refused(tmp_path, kind):
    path = tmp_path / 'file.bin'
    if kind == 'onnx':
        pytest.importorskip('onnxscript')
    if kind == 'avif':
        from PIL import features

        if not features.check('avif'):
            pytest.skip('this Pillow writes no AVIF')
    for content in fuzz.mutations(kind, 30, seed=0):
        path.write_bytes(content)
        assert fuzz.read(path, kind) in ('read', 'refused')


@pytest.mark.parametrize('kind', [kind for kind in fuzz.FORMATS if kind not in ('avif', 'onnx')])
def test_the_whole_files_are_read(tmp_path, kind):
    path = tmp_path / 'file.bin'
    for content in fuzz.whole_files(kind):
        path.write_bytes(content)
        assert fuzz.read(path, kind) == 'read'
