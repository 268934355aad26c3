"""The benchmark of inputs: every way upscales every image."""

import pytest
from inputs import WAYS, main, measure
from versions import INPUTS


@pytest.mark.slow
@pytest.mark.parametrize('way', WAYS)
def test_each_way_is_measured_with_each_image(way, tmp_path, monkeypatch):
    for package in dict(spandrel=['spandrel'], onnx=['onnxscript', 'onnxruntime']).get(way, []):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    seconds = measure('csnln-x2-attention', way, 16, 1)
    assert list(seconds) == list(INPUTS) and min(seconds.values()) > 0


@pytest.mark.parametrize('words', ['--side 0', '--rounds 0', '--threads 0', '--models nonsense'])
def test_what_cannot_be_measured_is_refused(words, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['inputs.py', *words.split()])
    with pytest.raises(SystemExit):
        main()
    assert words.split()[0] in capsys.readouterr().err.splitlines()[-1]
