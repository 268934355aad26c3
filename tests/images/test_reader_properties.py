"""Readers of images, lists and JSON: whatever a file holds, a result or one clear line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csnln_mm.checkpoints.architecture import read_architecture
from csnln_mm.datasets.pairs import _size
from csnln_mm.errors import UserError
from csnln_mm.files import read_json
from csnln_mm.images.image_file import read_image, read_rgb
from csnln_mm.paper.results import read_scores


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('files') / 'file.png'


def attempt(read, path):
    """The result, or None if the reader refuses in one line that names the file."""
    try:
        return read(path)
    except UserError as error:
        assert str(path) in str(error) and '\n' not in str(error)
        return None


@given(content=st.binary(max_size=200))
def test_random_bytes_are_no_image(path, content):
    path.write_bytes(content)
    for read in read_image, read_rgb, lambda path: _size(path, None, None):
        assert attempt(read, path) is None


# A session of onnxruntime leaves its thread without subnormal numbers.
floats = st.floats(allow_subnormal=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(['Set5/PSNR', 'Set5/SSIM', 'B100/PSNR', 'x']), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(content=st.binary(max_size=50) | json_values.map(lambda x: json.dumps(x).encode()))
def test_json(path, content):
    path.write_bytes(content)
    attempt(read_json, path)
    scores = attempt(read_scores, path)
    assert scores is None or all(isinstance(x, float) for score in scores.values() for x in score)


@given(text=st.text(max_size=60) | st.builds('model = {}'.format, st.text('dict(){}[]=,"a1:*-\n')))
def test_embedded_configs(text):
    try:
        model = read_architecture(dict(meta=dict(cfg=text)), 'a.pth')
        assert isinstance(model, dict)
    except UserError as error:
        assert 'a.pth' in str(error)
