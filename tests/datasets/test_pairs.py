import os
import time

import numpy as np
import pytest
from damage import VISIBLE, spoil_middle
from tiny_data import make_benchmark, smooth_noise

from csnln_mm.datasets import pairs as image_check
from csnln_mm.datasets.pairs import check_images
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import write_image


@pytest.fixture
def dataset(tmp_path):
    make_benchmark(tmp_path, 3)
    return dict(
        type='ImagePairDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img='LRbicx2', gt='GTmod12'),
        pipeline=[dict(type='NotBuilt')],
    )


def check(dataset, **options):
    check_images(dataset, **dict(dict(title='training', scale=2), **options))


def message(dataset, **options):
    with pytest.raises(UserError) as caught:
        check(dataset, **options)
    assert '\n' not in str(caught.value) and str(caught.value).startswith('training images: ')
    return str(caught.value)


def test_good_images_pass(dataset):
    check(dataset)
    check(dataset, gt_patch_size=48)
    check(dataset, scale=None)


@pytest.mark.parametrize('folder', ['LRbicx2', 'GTmod12'])
@pytest.mark.parametrize('fault', list(VISIBLE))
def test_every_visible_fault_is_named_with_its_file(dataset, tmp_path, fault, folder):
    path = tmp_path / folder / '1.png'
    VISIBLE[fault](path)
    text = message(dataset)
    assert str(path) in text
    says = {
        'cut off': 'is damaged or no image',
        'text': 'is damaged or no image',
        'empty': 'is empty',
        'missing': 'does not exist, the partner of',
        'bomb': 'exceeds limit of 178956970 pixels',
        'other size': 'which is not 2 times that',
        '16 bits': 'has more than 8 bits a channel',
    }
    assert says[fault] in text


def test_the_first_of_several_is_named_and_the_others_counted(dataset, tmp_path):
    for name in '1', '2':
        (tmp_path / f'GTmod12/{name}.png').write_bytes(b'')
    assert 'GTmod12/1.png is empty (and 1 more of 3)' in message(dataset)


def test_images_hold_a_patch(dataset, tmp_path):
    assert 'has 60x48 pixels, less than the patches of 49' in message(dataset, gt_patch_size=49)


def test_another_scale_is_told(dataset):
    assert 'has 30x24 pixels and' in message(dataset, scale=3)


def test_an_empty_data_set_is_told(dataset, tmp_path):
    for path in [*tmp_path.glob('*/*.png')]:
        path.unlink()
    assert message(dataset).endswith(f'there are none in {tmp_path}/LRbicx2')
    folders = {key: str(tmp_path / name) for key, name in dataset['data_prefix'].items()}
    assert message(dict(dataset, data_root='', data_prefix=folders)) == message(dataset)


def test_a_whole_png_may_have_something_behind_it(dataset, tmp_path):
    with open(tmp_path / 'GTmod12/0.png', 'ab') as file:
        file.write(b'more')
    check(dataset)


def test_pipes_and_folders_are_no_images(dataset, tmp_path):
    (tmp_path / 'GTmod12/1.png').unlink()
    os.mkfifo(tmp_path / 'GTmod12/1.png')
    assert 'GTmod12/1.png does not exist' in message(dataset)


def test_what_only_the_pixels_show_is_left_to_the_reader(dataset, tmp_path):
    spoil_middle(tmp_path / 'GTmod12/1.png')
    check(dataset)


def test_an_annotation_file_is_the_list(dataset, tmp_path):
    (tmp_path / 'list.txt').write_text('0.png (48,60,3)\n2.png (48,60,3)\n')
    dataset['ann_file'] = 'list.txt'
    (tmp_path / 'GTmod12/1.png').write_bytes(b'')
    check(dataset)
    (tmp_path / 'LRbicx2/2.png').unlink()
    assert 'LRbicx2/2.png does not exist, the partner of' in message(dataset)


def test_other_data_sets_pass(dataset, tmp_path):
    check(dict(type='Other'))
    check(dict(dataset, data_prefix=dict(img='LRbicx2')))
    check(dict(dataset, backend_args=dict(backend='lmdb')))


def test_thousands_of_headers_take_seconds(dataset, tmp_path, monkeypatch):
    """30,000 sub-images are 60,000 files: at this rate less than half a minute."""
    gt, lq = smooth_noise(96, 96, 0), np.zeros((48, 48, 3), np.uint8)
    write_image(tmp_path / 'GTmod12/0.png', gt)
    write_image(tmp_path / 'LRbicx2/0.png', lq)
    names = [f'{i}.png' for i in range(10, 1010)]
    for name in names:
        for folder in 'GTmod12', 'LRbicx2':
            os.link(tmp_path / folder / '0.png', tmp_path / folder / name)
    (tmp_path / 'list.txt').write_text('\n'.join(names))
    lines = []
    monkeypatch.setattr(image_check, 'print_log', lambda text, logger: lines.append(text))
    monkeypatch.setattr(image_check, '_SECONDS_BETWEEN_LINES', 0.01)
    started = time.process_time()
    check(dict(dataset, ann_file='list.txt'))
    assert time.process_time() - started < 1
    assert lines[0].startswith('looking at the training images: ') and len(lines) > 1
