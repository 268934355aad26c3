import re
from pathlib import Path

import numpy as np
import pytest
from damage import cut_off
from mmengine.config import Config
from tiny_data import contents

from csnln_mm.datasets.div2k import ANNOTATION_FILE, SubImages, prepare_div2k
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import read_rgb, write_image

ROOT = Path(__file__).parents[2]
SMALL = SubImages(24, 12)


def noise(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / 'photographs'
    write_image(folder / 'fox2 at night.png', noise(50, 40))
    write_image(folder / 'zebra.png', noise(24, 36, 1))
    return folder


def test_photographs_become_a_training_set(photographs, tmp_path):
    root = tmp_path / 'set'
    assert prepare_div2k(root, images=photographs, sub_images=SMALL, processes=2) == []
    lines = (root / ANNOTATION_FILE).read_text().splitlines()
    # 48 x 36 pixels: 3 x 2 squares; 24 x 36: 1 x 2.
    names = [f'fox_2_at_night_s{i:03d}.png' for i in range(1, 7)]
    names += [f'zebra_s{i:03d}.png' for i in range(1, 3)]
    assert lines == [f'{name} (24, 24, 3)' for name in names]
    hr = read_rgb(root / 'DIV2K_train_HR/fox_2_at_night.png')
    assert (hr == noise(50, 40)[:48, :36]).all()
    for folder, image, side in (
        ('DIV2K_train_HR_sub', hr, 24),
        ('DIV2K_train_LR_bicubic/X2_sub', downsample(hr, 2), 12),
        ('DIV2K_train_LR_bicubic/X3_sub', downsample(hr, 3), 8),
        ('DIV2K_train_LR_bicubic/X4_sub', downsample(hr, 4), 6),
    ):
        assert sorted(p.name for p in (root / folder).iterdir()) == names
        step = side // 2
        last = read_rgb(root / folder / 'fox_2_at_night_s006.png')
        assert (last == image[2 * step : 2 * step + side, step : step + side]).all()
    assert not list(root.glob('.cutting_*'))


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_the_training_configs_read_it(photographs, tmp_path, scale):
    from mmagic.registry import DATASETS
    from mmagic.utils import register_all_modules

    register_all_modules()
    prepare_div2k(
        tmp_path / 'set', images=photographs, scales=[scale], sub_images=SMALL, processes=1
    )
    cfg = Config.fromfile(ROOT / f'configs/csnln_x{scale}_div2k.py').train_dataloader.dataset
    cfg.data_root = str(tmp_path / 'set')
    cfg.pipeline = [step for step in cfg.pipeline if step.type == 'LoadImageFromFile']
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 8
    for sample in dataset:
        assert sample['gt'].shape == (24, 24, 3)
        assert sample['img'].shape == (24 // scale, 24 // scale, 3)


def test_a_second_run_makes_what_is_missing_and_touches_nothing_else(photographs, tmp_path):
    root = tmp_path / 'set'
    prepare_div2k(root, images=photographs, scales=[2], sub_images=SMALL, processes=1)
    before = contents(root)
    (root / 'DIV2K_train_LR_bicubic/X2_sub/zebra_s002.png').unlink()
    prepare_div2k(root, images=photographs, scales=[2], sub_images=SMALL, processes=1)
    after = contents(root)
    assert after.keys() == before.keys()
    changed = {name for name in before if after[name] != before[name]}
    assert changed <= {ANNOTATION_FILE} | {name for name in before if 'X2_sub/zebra' in name}
    with pytest.raises(UserError, match=r'cut otherwise than by ."size": 12, "step": 12'):
        prepare_div2k(root, images=photographs, scales=[2], sub_images=SubImages(12, 12))


def test_another_size_after_one_that_nothing_could_be_cut_to(photographs, tmp_path):
    root = tmp_path / 'set'
    options = dict(scales=[2], processes=1)
    large = SubImages(480, 240)
    assert len(prepare_div2k(root, images=photographs, sub_images=large, **options)) == 2
    assert not prepare_div2k(root, images=photographs, sub_images=SMALL, **options)
    assert (root / ANNOTATION_FILE).exists()


def test_a_bad_photograph_is_named_and_no_list_is_written(photographs, tmp_path):
    write_image(photographs / 'cut.png', noise(50, 50))
    cut_off(photographs / 'cut.png')
    write_image(photographs / 'small.png', noise(12, 50))
    root, options = tmp_path / 'set', dict(scales=[2], sub_images=SMALL)
    failures = prepare_div2k(root, images=photographs, processes=2, **options)
    assert [Path(name).name for name, _ in failures] == ['cut.png', 'small.png']
    assert 'choose a smaller --crop-size' in failures[1][1]
    assert not (root / ANNOTATION_FILE).exists()
    assert (root / 'DIV2K_train_HR_sub/zebra_s001.png').exists()
    for name in 'cut.png', 'small.png':
        (photographs / name).unlink()
    assert not prepare_div2k(root, images=photographs, processes=1, **options)
    assert (root / ANNOTATION_FILE).exists()


def test_names_that_would_collide_and_odd_sizes_are_refused(photographs, tmp_path):
    write_image(photographs / 'fox_2_at_night.png', noise(24, 24))
    with pytest.raises(UserError, match='would have the same name'):
        prepare_div2k(tmp_path / 'set', images=photographs)
    with pytest.raises(UserError, match='not whole LR pixels'):
        prepare_div2k(tmp_path / 'set', images=photographs, sub_images=SubImages(100, 50))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='holds no images'):
        prepare_div2k(tmp_path / 'set', images=tmp_path / 'empty')


@pytest.fixture(scope='module')
def download(tmp_path_factory):
    """All 800 images of DIV2K, as tiny ones."""
    root = tmp_path_factory.mktemp('DIV2K')
    hr = noise(24, 24)
    write_image(root / 'DIV2K_train_HR/0001.png', hr)
    write_image(root / 'DIV2K_train_LR_bicubic/X2/0001x2.png', downsample(hr, 2))
    for folder, suffix in ('DIV2K_train_HR', ''), ('DIV2K_train_LR_bicubic/X2', 'x2'):
        content = (root / folder / f'0001{suffix}.png').read_bytes()
        for i in range(2, 801):
            (root / folder / f'{i:04d}{suffix}.png').write_bytes(content)
    return root


def test_a_download_is_checked_and_named_where_it_lacks(download, tmp_path):
    lacks = r'X3 lacks 800 of 800: 0001x3.png, .* and 795 more.*X4 lacks 800.*--make-lr'
    with pytest.raises(UserError, match=lacks):
        prepare_div2k(download, sub_images=SMALL)
    with pytest.raises(UserError, match='DIV2K_train_HR lacks 800 of 800'):
        prepare_div2k(tmp_path, sub_images=SMALL)
    path = download / 'DIV2K_train_LR_bicubic/X2/0007x2.png'
    content = path.read_bytes()
    write_image(path, noise(12, 10))
    with pytest.raises(UserError, match=re.escape('0007x2.png, 10x12 pixels of 24x24')):
        prepare_div2k(download, scales=[2], sub_images=SMALL)
    path.write_bytes(content)


@pytest.mark.slow
def test_a_download_becomes_a_training_set(download):
    assert prepare_div2k(download, scales=[2, 3], make_lr=True, sub_images=SMALL, processes=2) == []
    lines = (download / ANNOTATION_FILE).read_text().splitlines()
    assert lines == [f'{i:04d}_s001.png (24, 24, 3)' for i in range(1, 801)]
    assert len(list((download / 'DIV2K_train_LR_bicubic/X3').iterdir())) == 800
    last = read_rgb(download / 'DIV2K_train_LR_bicubic/X3_sub/0800_s001.png')
    assert (last == downsample(noise(24, 24), 3)).all()


@pytest.mark.parametrize('content', [b'[', b'\xff', b'{"size": 24, "step": 24}'])
def test_a_record_of_another_cut_is_named(photographs, tmp_path, content):
    root, options = tmp_path / 'set', dict(scales=[2], sub_images=SMALL, processes=1)
    prepare_div2k(root, images=photographs, **options)
    (root / '.sub_images.json').write_bytes(content)
    with pytest.raises(UserError, match='set/.sub_images.json'):
        prepare_div2k(root, images=photographs, **options)
