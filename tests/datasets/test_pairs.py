import os
import time

import numpy as np
import pytest
from damage import VISIBLE, spoil_middle
from tiny_data import make_benchmark, smooth_noise

from csnln_mm.datasets import pairs as pairs_module
from csnln_mm.datasets.pairs import check_pairs, find_pairs
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import write_image


@pytest.fixture
def folders(tmp_path):
    make_benchmark(tmp_path, 3)
    return tmp_path / 'LRbicx2', tmp_path / 'GTmod12'


def check(folders, **options):
    check_pairs(find_pairs(*folders), **dict(dict(title='training', scale=2), **options))


def message(folders, **options):
    with pytest.raises(UserError) as caught:
        check(folders, **options)
    assert '\n' not in str(caught.value) and str(caught.value).startswith('training images: ')
    return str(caught.value)


def test_good_images_pass(folders):
    check(folders)
    check(folders, gt_patch_size=48)
    check(folders, scale=None)


@pytest.mark.parametrize('folder', ['LRbicx2', 'GTmod12'])
@pytest.mark.parametrize('fault', list(VISIBLE))
def test_every_visible_fault_is_named_with_its_file(folders, tmp_path, fault, folder):
    path = tmp_path / folder / '1.png'
    VISIBLE[fault](path)
    text = message(folders)
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


def test_the_first_of_several_is_named_and_the_others_counted(folders, tmp_path):
    for name in '1', '2':
        (tmp_path / f'GTmod12/{name}.png').write_bytes(b'')
    assert 'GTmod12/1.png is empty (and 1 more of 3)' in message(folders)


def test_images_hold_a_patch(folders, tmp_path):
    assert 'has 60x48 pixels, less than the patches of 49' in message(folders, gt_patch_size=49)


def test_another_scale_is_told(folders):
    assert 'has 30x24 pixels and' in message(folders, scale=3)


def test_a_complete_png_may_have_something_behind_it(folders, tmp_path):
    with open(tmp_path / 'GTmod12/0.png', 'ab') as file:
        file.write(b'more')
    check(folders)


def test_pipes_and_folders_are_no_images(folders, tmp_path):
    (tmp_path / 'GTmod12/1.png').unlink()
    os.mkfifo(tmp_path / 'GTmod12/1.png')
    assert 'GTmod12/1.png does not exist' in message(folders)


def test_what_only_the_pixels_show_is_left_to_the_reader(folders, tmp_path):
    spoil_middle(tmp_path / 'GTmod12/1.png')
    check(folders)


def test_thousands_of_headers_take_seconds(folders, tmp_path, monkeypatch):
    """30,000 sub-images are 60,000 files: at this rate less than half a minute."""
    gt, lq = smooth_noise(96, 96, 0), np.zeros((48, 48, 3), np.uint8)
    write_image(tmp_path / 'GTmod12/0.png', gt)
    write_image(tmp_path / 'LRbicx2/0.png', lq)
    names = [f'{i}.png' for i in range(10, 1010)]
    for name in names:
        for folder in 'GTmod12', 'LRbicx2':
            os.link(tmp_path / folder / '0.png', tmp_path / folder / name)
    pairs = [tuple(folder / name for folder in folders) for name in names]
    lines = []
    monkeypatch.setattr(pairs_module, '_SECONDS_BETWEEN_LINES', 0.01)
    started = time.process_time()
    check_pairs(pairs, title='training', scale=2, report=lines.append)
    assert time.process_time() - started < 1
    assert lines[0].startswith('checking the training images: ') and len(lines) > 1


def test_pairs_have_the_same_name_but_for_the_suffix(folders):
    lq, gt = folders
    (lq / '1.png').rename(lq / '1.jpg')
    (gt / '2.png').unlink()
    names = [(a.name, b.name) for a, b in find_pairs(lq, gt)]
    assert names == [('0.png', '0.png'), ('1.jpg', '1.png'), ('2.png', '2.png')]
    with pytest.raises(UserError, match='none is not a folder'):
        find_pairs(lq, gt / 'none')
