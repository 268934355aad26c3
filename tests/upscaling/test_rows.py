"""Images that are read and written by rows."""

import numpy as np
import pytest
import tifffile
from tiny_network import photograph, save_checkpoint

from csnln_mm import limits, upscaling
from csnln_mm.images.image_file import read_image
from csnln_mm.upscaling import upscale


@pytest.fixture(scope='module')
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('networks')
    local = dict(cell=dict(branches=('local',)))
    return dict(
        local=save_checkpoint(folder / 'local.pth', **local),
        attention=save_checkpoint(folder / 'attention.pth'),
    )


def pixels(dtype, bands):
    many = [photograph(70, 40, seed=seed) for seed in range(-(-bands // 3))]
    data = np.concatenate(many, -1)[..., :bands].astype(np.float32)
    return (
        data / 255
        if dtype == np.float32
        else (data * (1 if dtype == np.uint8 else 16)).astype(dtype)
    )


@pytest.mark.parametrize('network', ['local', 'attention'])
@pytest.mark.parametrize(
    'dtype, bands, layout',
    [
        (np.uint8, 3, dict(photometric='rgb', tile=(16, 32), compression='zlib')),
        (np.uint16, 4, dict(photometric='rgb', planarconfig='separate', rowsperstrip=7)),
        (np.uint16, 1, dict(photometric='minisblack', rowsperstrip=70)),
        (np.float32, 2, dict(photometric='minisblack', planarconfig='separate', bigtiff=True)),
    ],
)
@pytest.mark.parametrize('scale, wrap', [(2, None), (1.5, 'xy')])
def test_the_result_by_rows_is_that_of_the_whole(
    tmp_path, monkeypatch, networks, network, dtype, bands, layout, scale, wrap
):
    data, options = pixels(dtype, bands), dict(layout)
    bigtiff = options.pop('bigtiff', False)
    if options.get('planarconfig') == 'separate':
        data = data.transpose(2, 0, 1)
    data = data[..., 0] if bands == 1 else data
    tifffile.imwrite(tmp_path / 'a.tif', data, bigtiff=bigtiff, metadata=None, **options)
    monkeypatch.setattr(limits, 'LARGE_IMAGE_PIXELS', 1)  # so that both write tiles
    read = []
    monkeypatch.setattr(upscaling.files, 'read_image', lambda p, _: read.append(p) or read_image(p))
    made = {}
    for name, large in ('whole', 10**9), ('rows', 1):
        monkeypatch.setattr(upscaling.plan, 'LARGE_IMAGE_PIXELS', large)
        target = tmp_path / name / 'a.tif'
        (result,) = upscale(
            [tmp_path / 'a.tif'],
            target,
            checkpoint=networks[network],
            tile=32,
            scale=scale,
            wrap=wrap,
            device='cpu',
        )
        assert result.status == 'done', result.reason
        made[name] = target.read_bytes()
    assert made['whole'] == made['rows'] and len(read) == 1
    result = tifffile.imread(tmp_path / 'rows/a.tif')
    assert result.dtype == dtype and result.shape[:2] == (70 * scale, 40 * scale)
    assert [path.name for path in (tmp_path / 'rows').iterdir()] == ['a.tif']


def test_what_ends_the_work_leaves_nothing(tmp_path, monkeypatch, networks):
    tifffile.imwrite(tmp_path / 'a.tif', pixels(np.uint8, 3), photometric='rgb', rowsperstrip=8)
    content = bytearray((tmp_path / 'a.tif').read_bytes())
    (tmp_path / 'a.tif').write_bytes(content[:-500])
    monkeypatch.setattr(upscaling.plan, 'LARGE_IMAGE_PIXELS', 1)
    (result,) = upscale(
        [tmp_path / 'a.tif'], tmp_path / 'out/a.tif', checkpoint=networks['local'], tile=32
    )
    assert result.status == 'failed' and 'a.tif is damaged or no image' in result.reason
    assert not list((tmp_path / 'out').iterdir())


def test_a_result_that_memory_cannot_hold_is_refused_before_work(tmp_path, monkeypatch, networks):
    tifffile.imwrite(tmp_path / 'a.tif', pixels(np.uint8, 3), photometric='rgb')
    monkeypatch.setattr(upscaling.plan, 'LARGE_IMAGE_PIXELS', 1)
    monkeypatch.setattr(upscaling.plan, 'free_main_memory', lambda: 50_000)
    options = dict(checkpoint=networks['local'], device='cpu')
    (result,) = upscale([tmp_path / 'a.tif'], tmp_path / 'a.png', **options)
    assert result.status == 'failed' and 'write .tif, which takes little' in result.reason
    (result,) = upscale([tmp_path / 'a.tif'], tmp_path / 'b.tif', **options)
    assert result.status == 'done', result.reason
