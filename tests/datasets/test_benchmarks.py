import numpy as np
import pytest
from damage import cut_off
from tiny_data import contents

from csnln_mm.datasets.benchmarks import find_test_sets, prepare_benchmarks
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import read_rgb, write_image


@pytest.fixture
def hr(tmp_path):
    random = np.random.RandomState(0)
    for name, size in (('a', (50, 61)), ('b', (36, 24))):
        write_image(tmp_path / 'hr' / f'{name}.png', random.randint(0, 256, (*size, 3), np.uint8))
    return tmp_path / 'hr'


def test_a_folder_becomes_a_test_set(hr, tmp_path):
    counts, failures = prepare_benchmarks(hr, tmp_path / 'out', processes=2)
    assert counts == {'': 2} and not failures
    assert len(contents(tmp_path / 'out')) == 8
    gt = read_rgb(tmp_path / 'out/GTmod12/a.png')
    assert (gt == read_rgb(hr / 'a.png')[:48, :60]).all()
    for scale in 2, 3, 4:
        lr = read_rgb(tmp_path / f'out/LRbicx{scale}/a.png')
        assert lr.shape == (48 // scale, 60 // scale, 3)
        assert (lr == downsample(gt, scale)).all()


def test_a_second_run_makes_what_is_missing_and_touches_nothing_else(hr, tmp_path):
    out = tmp_path / 'out'
    prepare_benchmarks(hr, out, scales=[2], processes=1)
    before = contents(out)
    (out / 'LRbicx2/a.png').unlink()
    prepare_benchmarks(hr, out, scales=[2], processes=1)
    after = contents(out)
    assert after.keys() == before.keys()
    assert [n for n in before if after[n] != before[n]] == ['LRbicx2/a.png']
    prepare_benchmarks(hr, out, scales=[2, 3], processes=1)
    assert len(contents(out)) == 6


def test_a_corrupt_or_tiny_image_is_named_and_the_rest_is_done(hr, tmp_path):
    write_image(hr / 'cut.png', read_rgb(hr / 'a.png'))
    cut_off(hr / 'cut.png')
    write_image(hr / 'tiny.png', np.zeros((11, 30, 3), np.uint8))
    counts, failures = prepare_benchmarks(hr, tmp_path / 'out', scales=[2], processes=2)
    assert counts == {'': 4}
    assert [path.name for path, _ in failures] == ['cut.png', 'tiny.png']
    made = {f'{folder}/{name}.png' for folder in ('GTmod12', 'LRbicx2') for name in 'ab'}
    assert contents(tmp_path / 'out').keys() == made


def test_a_tree_becomes_a_tree(hr, tmp_path):
    tree = tmp_path / 'tree'
    for name in 'SetA/HR', 'SetB', 'empty':
        (tree / name).mkdir(parents=True)
    (hr / 'a.png').rename(tree / 'SetA/HR/a.png')
    (hr / 'b.png').rename(tree / 'SetB/b.png')
    assert {name: len(paths) for name, paths in find_test_sets(tree).items()} == dict(
        SetA=1, SetB=1
    )
    assert list(find_test_sets(tree / 'SetA')) == ['']
    prepare_benchmarks(tree, tmp_path / 'out', scales=[4], processes=1)
    assert sorted(contents(tmp_path / 'out')) == [
        'SetA/GTmod12/a.png',
        'SetA/LRbicx4/a.png',
        'SetB/GTmod12/b.png',
        'SetB/LRbicx4/b.png',
    ]


def test_a_source_without_images_is_refused(tmp_path):
    with pytest.raises(UserError, match='holds no images'):
        find_test_sets(tmp_path)
    with pytest.raises(UserError, match='is not a folder'):
        find_test_sets(tmp_path / 'none')
