"""Readers of images, lists and JSON: whatever a file holds, a result or one clear line."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutation import mutations
from PIL import Image
from tiny_data import smooth_noise

from csnln_mm.checkpoints.architecture import read_architecture
from csnln_mm.datasets.pairs import _size
from csnln_mm.errors import UserError
from csnln_mm.files import read_json
from csnln_mm.images.image_file import read_image, read_rgb
from csnln_mm.paper.results import read_scores

FORMATS = 'PNG', 'JPEG', 'BMP', 'TIFF', 'WEBP', 'PPM'


def encode(kind):
    file = io.BytesIO()
    Image.fromarray(smooth_noise(20, 24, 0)).save(file, kind)
    return file.getvalue()


REAL = {kind: encode(kind) for kind in FORMATS}


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


def read_all(path):
    image = attempt(read_rgb, path)
    assert image is None or image.dtype == np.uint8 and image.shape[2:] == (3,)
    picture = attempt(read_image, path)
    assert picture is None or picture.pixels.shape[:2] == picture.size[::-1]
    size = attempt(lambda path: _size(path, None, None), path)
    assert size is None or min(size) > 0
    return image


@given(content=st.binary(max_size=200))
def test_random_bytes_are_no_image(path, content):
    path.write_bytes(content)
    assert read_all(path) is None


@given(kind=st.sampled_from(FORMATS), data=st.data())
def test_mutated_images(path, kind, data):
    path.write_bytes(data.draw(mutations(REAL[kind])))
    read_all(path)


@pytest.mark.parametrize('kind', FORMATS)
def test_the_real_ones_are_read(path, kind):
    path.write_bytes(REAL[kind])
    assert read_all(path).shape == (20, 24, 3)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
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
