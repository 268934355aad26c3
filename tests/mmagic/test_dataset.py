import numpy as np
import pytest
import torch
import torch.nn.functional as F
from damage import VISIBLE, spoil_middle
from mmagic.registry import DATASETS, TRANSFORMS
from mmagic.utils import register_all_modules
from tiny_data import make_benchmark
from torch.utils.data import DataLoader

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_rgb

register_all_modules()


def build(root, **changes):
    """The data set as the configs have it."""
    pipeline = [
        dict(type='LoadImageFromFile', key=key, channel_order='rgb', imdecode_backend='pillow')
        for key in ('img', 'gt')
    ] + [
        dict(type='SetValues', dictionary=dict(scale=2)),
        dict(type='PairedRandomCrop', gt_patch_size=24),
    ]
    config = dict(
        type='ImagePairDataset',
        data_root=str(root),
        data_prefix=dict(img='LRbicx2', gt='GTmod12'),
        pipeline=pipeline,
    )
    return DATASETS.build(dict(config, **changes))


def test_samples_are_those_of_mmagic(tmp_path):
    make_benchmark(tmp_path, 2)
    plain = dict(pipeline=[dict(type='LoadImageFromFile', key='gt', channel_order='rgb')])
    ours, theirs = build(tmp_path), build(tmp_path, type='BasicImageDataset', **plain)
    assert [ours.get_data_info(i) for i in (0, 1)] == [theirs.get_data_info(i) for i in (0, 1)]
    sample = ours[0]
    assert sample['gt'].shape == (24, 24, 3) and sample['img'].shape == (12, 12, 3)
    ours = build(tmp_path, pipeline=[dict(plain['pipeline'][0], imdecode_backend='pillow')])
    for i in range(2):
        assert (ours[i]['gt'] == theirs[i]['gt']).all()
        assert (ours[i]['gt'] == read_rgb(ours[i]['gt_path'])).all()


@pytest.mark.parametrize('folder', ['LRbicx2', 'GTmod12'])
@pytest.mark.parametrize('fault', [*sorted(set(VISIBLE) - {'16 bits'}), 'spoilt'])
def test_a_bad_image_is_named_when_it_is_met(tmp_path, fault, folder):
    make_benchmark(tmp_path, 2)
    dataset = build(tmp_path)
    path = tmp_path / folder / '1.png'
    VISIBLE.get(fault, spoil_middle)(path)
    assert dataset[0]['gt'].shape == (24, 24, 3)
    with pytest.raises(UserError) as caught:
        dataset[1]
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_a_dataloader_worker_hands_the_message_on(tmp_path):
    make_benchmark(tmp_path, 2)
    dataset = build(tmp_path)
    spoil_middle(tmp_path / 'GTmod12/1.png')
    with pytest.raises(UserError) as caught:
        list(DataLoader(dataset, batch_size=None, num_workers=1))
    assert str(caught.value) == f'{tmp_path}/GTmod12/1.png is damaged or no image'


def bicubic_error(sample):
    """Mean squared, of values in 0..1."""
    gt, img = (torch.from_numpy(sample[key]).permute(2, 0, 1)[None] / 255 for key in ('gt', 'img'))
    return (F.interpolate(img, scale_factor=2, mode='bicubic') - gt).square().mean().item()


def test_patches_that_are_too_easy_or_too_hard_are_left_out(tmp_path):
    make_benchmark(tmp_path, 2)
    dataset = build(tmp_path)
    errors = sorted(bicubic_error(dataset[i % 2]) for i in range(40))
    lowest, highest = bounds = errors[20], errors[35]
    dataset.pipeline.transforms.append(TRANSFORMS.build(dict(type='HardPatches', mse=bounds)))
    for i in range(10):
        assert lowest <= bicubic_error(dataset[i % 2]) <= highest


def test_bounds_that_no_patch_is_within_are_told(tmp_path):
    make_benchmark(tmp_path, 1)
    dataset = build(tmp_path)
    dataset.pipeline.transforms.append(TRANSFORMS.build(dict(type='HardPatches', mse=(2, 3))))
    with pytest.raises(UserError, match=r'500 patches in a row .* HardPatches.mse=\(2, 3\)'):
        dataset[0]


@pytest.mark.parametrize(
    'name',
    '../outside.png a/../../outside.png /etc/passwd //etc/passwd ///etc/passwd '
    '../GTmod12/../../x.png .. a\0b.png'.split(),
)
def test_annotations_do_not_lead_out_of_the_folders(tmp_path, name):
    make_benchmark(tmp_path, 1)
    (tmp_path / 'list.txt').write_text(f'0.png (48,60,3)\n{name} (48,60,3)\n')
    try:
        dataset = build(tmp_path, ann_file='list.txt')
    except UserError as error:
        assert 'list.txt' in str(error) and 'is not in' in str(error)
        return
    # MMagic takes '/etc/passwd' for a name below the folder.
    assert dataset.get_data_info(1)['gt_path'] == f'{tmp_path}/GTmod12/etc/passwd'


def test_an_annotation_file_of_other_bytes_is_told(tmp_path):
    make_benchmark(tmp_path, 1)
    (tmp_path / 'list.txt').write_bytes(np.arange(256, dtype=np.uint8).tobytes())
    with pytest.raises(UserError, match='list.txt cannot be read'):
        build(tmp_path, ann_file='list.txt')
