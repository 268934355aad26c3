"""The benchmark of inputs: every way upscales every image."""

import pytest
from inputs import WAYS, measure
from versions import INPUTS


@pytest.mark.slow
@pytest.mark.parametrize('way', WAYS)
def test_each_way_is_measured_with_each_image(way, tmp_path, monkeypatch):
    for package in dict(spandrel=['spandrel'], onnx=['onnxscript', 'onnxruntime']).get(way, []):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    seconds = measure('csnln-x2-attention', way, 16, 1)
    assert list(seconds) == list(INPUTS) and min(seconds.values()) > 0
