"""Which images a data set's config names, and that they are checked."""

import pytest
from tiny_data import make_benchmark

from csnln_mm.errors import UserError
from csnln_mm.mmagic.loaders import check_dataset


@pytest.fixture
def dataset(tmp_path):
    make_benchmark(tmp_path, 3)
    return dict(
        type='ImagePairDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img='LRbicx2', gt='GTmod12'),
        pipeline=[dict(type='NotBuilt')],
    )


def check(dataset):
    check_dataset(dataset, title='training', scale=2)


def message(dataset):
    with pytest.raises(UserError, match='^training images: .*$') as caught:
        check(dataset)
    return str(caught.value)


@pytest.mark.parametrize('folder', ['LRbicx2', 'GTmod12'])
def test_images_of_either_folder_need_a_partner(dataset, tmp_path, folder):
    check(dataset)
    (tmp_path / folder / '1.png').unlink()
    assert f'{folder}/1.png does not exist, the partner of' in message(dataset)


def test_an_empty_data_set_is_told(dataset, tmp_path):
    for path in [*tmp_path.glob('*/*.png')]:
        path.unlink()
    assert message(dataset).endswith(f'there are none in {tmp_path}/LRbicx2')
    folders = {key: str(tmp_path / name) for key, name in dataset['data_prefix'].items()}
    assert message(dict(dataset, data_root='', data_prefix=folders)) == message(dataset)


def test_an_annotation_file_is_the_list(dataset, tmp_path):
    (tmp_path / 'list.txt').write_text('0.png (48,60,3)\n2.png (48,60,3)\n')
    dataset['ann_file'] = 'list.txt'
    (tmp_path / 'GTmod12/1.png').write_bytes(b'')
    check(dataset)
    (tmp_path / 'LRbicx2/2.png').unlink()
    assert 'LRbicx2/2.png does not exist, the partner of' in message(dataset)


def test_other_data_sets_pass(dataset):
    check(dict(type='Other'))
    check(dict(dataset, data_prefix=dict(img='LRbicx2')))
    check(dict(dataset, backend_args=dict(backend='lmdb')))
