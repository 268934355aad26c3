"""What the benchmark of versions compares: the same work, and which package does it."""

import json

import numpy as np
import pytest
import versions
from versions import CASES, INPUTS, ROOT, Case, measure, picture, report, run


@pytest.mark.parametrize('kind', INPUTS)
def test_pictures_are_always_the_same(kind):
    image = picture(kind, 40)
    assert image.shape == (40, 40, 3) and image.dtype == np.uint8 and image.std() > 10
    assert (picture(kind, 40) == image).all()


def test_a_case_runs_with_the_package_of_its_version(tmp_path, capfd):
    package = tmp_path / 'csnln_mm/upscaling'
    package.mkdir(parents=True)
    (package.parent / '__init__.py').touch()
    (package / '__init__.py').write_text("""
class Upscaler:
    def __init__(self, model, device):
        raise SystemExit(f'{model} by this version')
""")
    case = Case('inputs', 'noise', 'upscale', ('csnln-x2-fast', 'noise', '8'))
    with pytest.raises(SystemExit, match='noise, .*: failed'):
        run(case, tmp_path)
    assert 'csnln-x2-fast by this version' in capfd.readouterr().err


@pytest.mark.slow
def test_seconds_of_both_versions():
    case = Case('inputs', 'noise', 'upscale', ('csnln-x2-fast', 'noise', '8'))
    row = measure(case, ROOT, 1)
    assert row['older'] > 0 and row['this'] > 0


def test_the_report(monkeypatch):
    """The least of each version; the slowest input by the fastest; the losses."""
    seconds = dict(older=iter([4.0, 3.0, 9.0, 8.0]), this=iter([2.0, 1.5, 2.0, 1.8]))
    memory = dict(older=3e9, this=2**20)

    def result(case, version):
        name = 'this' if version == ROOT else 'older'
        return dict(seconds=next(seconds[name]), memory=memory[name], losses=[1.0])

    monkeypatch.setattr(versions, 'run', result)
    cases = [Case('inputs', kind, 'upscale', ('model', kind, '8')) for kind in ('noise', 'text')]
    rows = json.loads(json.dumps([measure(case, ROOT / 'older', 2) for case in cases]))
    assert [(row['older'], row['this']) for row in rows] == [(3, 1.5), (8, 1.8)]
    text = report(rows)
    assert '| noise' in text and ' 2.00 |' in text and ' 4.44 |' in text
    assert ' 2,861 MiB | 1 MiB |' in text
    assert '| model' in text and ' 2.67 |' in text and ' 1.20 |' in text
    assert 'differ by at most 0.0e+00' in text


def test_every_case_is_known():
    assert {case.function for case in CASES} == {'upscale', 'files', 'train', 'export', 'onnx'}
