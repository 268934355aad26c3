"""Which images belong together, which of them are for validation, and which do not fit."""

import pytest
from damage import cut_off, spoil_middle
from tiny_data import smooth_noise

from csnln_mm.cli import main
from csnln_mm.datasets.pairs import find_pairs, split_pairs
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import write_image


def paired(tmp_path, lq, gt):
    """Names of pairs, and of images without a partner."""
    for folder, names in (('lq', lq), ('gt', gt)):
        (tmp_path / folder).mkdir()
        for name in names.split():
            (tmp_path / folder / name).touch()
    pairs, unpaired = find_pairs(tmp_path / 'lq', tmp_path / 'gt')
    return [(a.name, b.name) for a, b in pairs], [path.name for path in unpaired]


@pytest.mark.parametrize(
    'lq, gt',
    [
        ('a.png', 'a.png'),
        ('a.jpg', 'a.PNG'),
        ('0001x2.png', '0001.png'),
        ('a_x4.png', 'a.png'),
        ('cam_001_LR4.png', 'cam_001_HR.png'),
        ('a-lq.png', 'a-gt.png'),
        ('max2x2.png', 'max2.png'),
        ('a_lr.png', 'a_x2.png'),
        ('a-sr.png', 'a.png'),
        ('a_x2_SR.png', 'a_HR.png'),
    ],
)
def test_partners_have_one_name_but_for_what_it_ends_in(tmp_path, lq, gt):
    assert paired(tmp_path, lq, gt) == ([(lq, gt)], [])


def test_the_same_name_comes_first(tmp_path):
    pairs, unpaired = paired(tmp_path, 'a.png ax2.png b.png', 'a.png ax2.png bx2.png')
    assert pairs == [('a.png', 'a.png'), ('ax2.png', 'ax2.png'), ('b.png', 'bx2.png')]
    assert not unpaired


def test_images_without_a_partner(tmp_path):
    pairs, unpaired = paired(tmp_path, 'a.png ax2.png c.png', 'a.png b.png notes.txt')
    assert pairs == [('a.png', 'a.png')]
    assert unpaired == ['b.png', 'ax2.png', 'c.png']


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / 'empty').mkdir()
    for folder in 'empty', 'missing':
        with pytest.raises(UserError, match=folder):
            find_pairs(tmp_path / folder, tmp_path)


@pytest.mark.parametrize('validation, count', [(3, 3), (0.25, 10), (0.001, 1)])
def test_validation_is_set_aside_by_name(tmp_path, validation, count):
    pairs = [(tmp_path / f'lq/{i}.png', tmp_path / f'gt/{i}.png') for i in range(40)]
    train, val = split_pairs(pairs, validation)
    assert len(val) == count and sorted(train + val) == sorted(pairs)
    # Elsewhere, and in another order, the same.
    moved = [(tmp_path / f'x/{i}.png', tmp_path / f'y/{i}.jpg') for i in reversed(range(40))]
    assert {gt.stem for _, gt in split_pairs(moved, validation)[1]} == {gt.stem for _, gt in val}


def test_something_must_be_left_to_train_on(tmp_path):
    with pytest.raises(UserError, match='1 of 1 pairs'):
        split_pairs([(tmp_path, tmp_path)], 0.5)


def test_check_names_all_that_do_not_fit(tmp_path, capsys):
    for name, lq, gt in (
        ('good', (24, 26), (48, 52)),
        ('uneven', (24, 26), (48, 53)),
        ('small', (8, 26), (16, 52)),
        ('cut', (24, 26), (48, 52)),
        ('spoilt', (24, 26), (48, 52)),
    ):
        write_image(tmp_path / f'lq/{name}x2.png', smooth_noise(*lq, 1))
        write_image(tmp_path / f'gt/{name}.png', smooth_noise(*gt, 1))
    write_image(tmp_path / 'gt/alone.png', smooth_noise(8, 8, 1))
    cut_off(tmp_path / 'lq/cutx2.png')
    spoil_middle(tmp_path / 'gt/spoilt.png')
    command = ['prepare', 'check', str(tmp_path / 'lq'), str(tmp_path / 'gt'), '--scale', '2']
    assert main([*command, '--patch-size', '16']) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'{tmp_path}/gt/alone.png has no partner'
    for line, name, reason in zip(
        lines[1:],
        ('cutx2', 'small', 'spoilt', 'uneven'),
        ('damaged', 'training patch of 32', 'damaged', 'not 2 times'),
    ):
        assert name in line and reason in line
    assert lines[5:] == ['1 of 5 pairs fit']
