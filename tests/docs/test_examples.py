"""Examples in docstrings do what they show.

Each runs in a folder with a small RGB image, photo.png, and with torch's seed at 0; ``...`` stands
for any text, and white space does not count.
"""

import doctest
import importlib

import pytest
import torch
from doc_pages import ROOT
from tiny_data import smooth_noise

from csnln_mm.images.image_file import write_image

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = [
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
    for path in sorted((ROOT / 'csnln_mm').rglob('*.py'))
    if '>>> ' in path.read_text()
]


@pytest.mark.parametrize('name', MODULES)
def test_examples_of_a_module(name, tmp_path, monkeypatch):
    if name.startswith('csnln_mm.mmagic'):
        pytest.importorskip('mmagic')
    module = importlib.import_module(name)
    write_image(tmp_path / 'photo.png', smooth_noise(12, 14, 1))
    monkeypatch.chdir(tmp_path)
    examples = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert examples, 'the docstring with the example is of no public object'
    for test in examples:
        torch.manual_seed(0)
        output = []
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=output.append)
        assert not output, ''.join(output)
