"""Bad images in training, validation and test sets: named before the first step."""

from pathlib import Path

import pytest
from damage import VISIBLE
from tiny_data import make_benchmark

from csnln_mm.errors import UserError

pytest.importorskip('mmagic')

from csnln_mm.mmagic.config import load_config  # noqa: E402
from csnln_mm.mmagic.runner import build_test_runner, build_train_runner  # noqa: E402

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_benchmark(tmp_path / 'data/demo/train', 2)
    make_benchmark(tmp_path / 'data/demo/test', 2)
    make_benchmark(tmp_path / 'data/Set5', 2)
    return tmp_path


def refuse(build, match, *parameters):
    with pytest.raises(UserError, match=match) as caught:
        build(*parameters)
    assert '\n' not in str(caught.value)
    assert not Path('work_dirs').exists(), 'nothing was begun'


@pytest.mark.parametrize('fault', list(VISIBLE))
@pytest.mark.parametrize('image', ['LRbicx2/1.png', 'GTmod12/1.png'])
def test_named_before_it_begins(folder, fault, image):
    for part, title in ('train', 'training'), ('test', 'validation'):
        path = Path('data/demo') / part / image
        content = path.read_bytes()
        VISIBLE[fault](path)
        cfg = load_config(str(CONFIGS / 'csnln_x2_demo.py'))
        refuse(build_train_runner, f'^{title} images: .*{path}', cfg)
        path.write_bytes(content)
    path = Path('data/Set5') / image
    VISIBLE[fault](path)
    refuse(
        build_test_runner, f'^test images: .*{path}', load_config(str(CONFIGS / 'bicubic_x2.py'))
    )


def test_an_image_smaller_than_the_patch(folder):
    make_benchmark(folder / 'data/demo/train', 2, size=(48, 46))
    refuse(
        build_train_runner,
        r'train/GTmod12/0.png has 46x48 pixels, smaller than the training patch of 48',
        load_config(str(CONFIGS / 'csnln_x2_demo.py')),
    )


def test_images_of_another_scale(folder):
    cfg = load_config(
        str(CONFIGS / 'csnln_x3_div2k.py'),
        options={
            'train_dataloader.dataset.data_root': 'data/demo/train',
            'train_dataloader.dataset.ann_file': '',
            'train_dataloader.dataset.data_prefix': dict(img='LRbicx2', gt='GTmod12'),
        },
    )
    refuse(build_train_runner, 'which is not 3 times that', cfg)
