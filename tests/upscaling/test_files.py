"""Files, folders and patterns: which are upscaled, where results go, what is reported."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_network import names, photograph

from csnln_mm.errors import UserError
from csnln_mm.upscaling import upscale


@pytest.fixture()
def folder(tmp_path):
    for name in ('b.png', 'a.jpg', 'sub/c.png', 'sub/deep/d.webp'):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(8, 9)).save(path)
    (tmp_path / 'in' / 'notes.txt').write_text('no image')
    return tmp_path


def test_folder(folder, plain):
    upscale([folder / 'in'], folder / 'out', checkpoint=plain, device='cpu')
    assert names(folder / 'out') == ['a.png', 'b.png']


def test_folder_recursively(folder, plain):
    upscale([folder / 'in'], folder / 'out', checkpoint=plain, device='cpu', recursive=True)
    assert names(folder / 'out') == ['a.png', 'b.png', 'sub/c.png', 'sub/deep/d.png']


def test_patterns(folder, plain):
    upscale([f'{folder}/in/**/*.png'], folder / 'out', checkpoint=plain, device='cpu')
    assert names(folder / 'out') == ['b.png', 'sub/c.png']


def test_one_file_to_one_file(folder, plain):
    target = folder / 'new' / 'large.tif'
    upscale([folder / 'in' / 'b.png'], target, checkpoint=plain, device='cpu')
    assert names(folder / 'new') == ['large.tif']


def test_existing_results_are_skipped_or_replaced(folder, plain):
    out = folder / 'out'
    out.mkdir()
    (out / 'a.png').write_text('old')
    results = upscale([folder / 'in'], out, checkpoint=plain, device='cpu')
    assert {r.target.name: r.status for r in results} == {'a.png': 'skipped', 'b.png': 'done'}
    assert (out / 'a.png').read_text() == 'old'
    results = upscale([folder / 'in'], out, checkpoint=plain, device='cpu', overwrite=True)
    assert [r.status for r in results] == ['done', 'done']
    assert Image.open(out / 'a.png').size == (18, 16)


def test_bad_files_do_not_stop_the_others(folder, plain):
    source, out = folder / 'in', folder / 'out'
    (source / 'cut.png').write_bytes((source / 'b.png').read_bytes()[:80])
    (source / 'empty.jpg').touch()
    (source / 'text.png').write_text('hello')
    Image.fromarray(np.ones((4, 4), np.float32)).save(source / 'float.tif')
    results = upscale(
        [source, source / 'none.png', f'{source}/x*', folder / 'nowhere'],
        out,
        checkpoint=plain,
        device='cpu',
    )
    reasons = {Path(r.source).name: r.reason for r in results if r.status == 'failed'}
    assert set(reasons) == {
        'cut.png',
        'empty.jpg',
        'text.png',
        'float.tif',
        'none.png',
        'x*',
        'nowhere',
    }
    assert 'is empty' in reasons['empty.jpg'] and 'does not exist' in reasons['none.png']
    assert '32 bits' in reasons['float.tif'] and 'no images match' in reasons['x*']
    assert names(out) == ['a.png', 'b.png']


def test_a_name_that_no_file_can_have_does_not_stop_the_others(folder, plain):
    results = upscale(
        ['a' * 300 + '.png', folder / 'in' / 'b.png'],
        folder / 'out',
        checkpoint=plain,
        device='cpu',
    )
    assert [r.status for r in results] == ['failed', 'done']
    assert 'too long' in results[0].reason


def test_an_output_folder_that_is_a_file(folder, plain):
    (folder / 'out').touch()
    with pytest.raises(UserError, match='is a file; name a folder'):
        upscale([folder / 'in' / 'b.png'], folder / 'out', checkpoint=plain, device='cpu')


def test_formats_that_cannot_hold_an_image(plain, tmp_path):
    image = Image.fromarray(photograph())
    image.putalpha(100)
    image.save(tmp_path / 'a.png')
    cv2.imwrite(str(tmp_path / 'b.png'), photograph().astype(np.uint16) * 257)
    results = upscale(
        [tmp_path / 'a.png', tmp_path / 'b.png'],
        tmp_path / 'out',
        checkpoint=plain,
        device='cpu',
        suffix='.jpg',
    )
    assert 'transparency' in results[0].reason and '16 bits' in results[1].reason
    assert not (tmp_path / 'out').exists()


def test_results_never_replace_an_input_or_each_other(folder, plain):
    Image.fromarray(photograph(8, 9)).save(folder / 'in' / 'a.png')
    before = (folder / 'in' / 'b.png').read_bytes()
    results = upscale(
        [folder / 'in'], folder / 'in', checkpoint=plain, device='cpu', overwrite=True
    )
    assert 'would replace the input' in results[0].reason
    assert (folder / 'in' / 'b.png').read_bytes() == before
    results = upscale([folder / 'in'], folder / 'out', checkpoint=plain, device='cpu')
    assert sorted(r.status for r in results) == ['done', 'done', 'failed']
    assert 'already the result of' in [r.reason for r in results if r.status == 'failed'][0]


def test_nothing_is_left_where_writing_fails(folder, plain):
    (folder / 'out').mkdir()
    (folder / 'out' / 'b.png').mkdir()
    (result,) = upscale(
        [folder / 'in' / 'b.png'], folder / 'out', checkpoint=plain, device='cpu', overwrite=True
    )
    assert result.status == 'failed' and 'cannot write' in result.reason
    assert names(folder / 'out') == []


def test_beside_the_input(folder, plain):
    options = dict(checkpoint=plain, device='cpu')
    upscale([folder / 'in'], **options)
    assert names(folder / 'in')[:4] == ['a.jpg', 'a_x2.png', 'b.png', 'b_x2.png']
    # Results are no inputs of the next run, nor of one with another factor.
    assert [r.status for r in upscale([folder / 'in'], **options)] == ['skipped'] * 2
    results = upscale([folder / 'in'], scale=3.5, suffix='same', **options)
    assert [r.target.name for r in results] == ['a_x3.5.jpg', 'b_x3.5.png']
    assert Image.open(results[1].target).size == (32, 28)
    (result,) = upscale([folder / 'in' / 'b_x2.png'], width=50, **options)
    assert Image.open(result.target).size == (50, 44) and result.target.name == 'b_x2_w50.png'


def test_nothing_is_loaded_when_all_is_done(folder, plain):
    upscale([folder / 'in'], folder / 'out', checkpoint=plain, device='cpu')
    results = upscale([folder / 'in'], folder / 'out', checkpoint='none.pth')
    assert [r.status for r in results] == ['skipped', 'skipped']


def test_a_folder_gives_the_bytes_of_each_file_alone(folder, checkpoint):
    Image.fromarray(photograph(40, 70)).save(folder / 'in' / 'large.png')
    settings = dict(checkpoint=checkpoint, device='cpu', tile=32, scale=2.5)
    results = upscale([folder / 'in'], folder / 'out', recursive=True, **settings)
    assert len(results) == 5
    for result in results:
        upscale([result.source], folder / 'alone', overwrite=True, **settings)
        alone = folder / 'alone' / result.target.name
        assert result.target.read_bytes() == alone.read_bytes()


def test_progress_in_lines(folder, plain, capsys, monkeypatch):
    monkeypatch.setattr('csnln_mm.upscaling.progress._INTERVAL', 0.0)
    Image.fromarray(photograph(70, 40)).save(folder / 'in' / 'b.png')
    (folder / 'in' / 'c.png').write_text('hello')
    settings = dict(checkpoint=plain, device='cpu', tile=32)
    upscale([folder / 'in'], folder / 'out', progress=True, **settings)
    text = capsys.readouterr().out
    assert '[2/3] ' in text and '40x70 to 80x140, 6 tiles of 32 px, overlap 8; ' in text
    assert '100 %; all: 0 s left' in text
    assert 'c.png: failed: ' in text


def test_progress_for_programs(folder, plain, capsys):
    (folder / 'in' / 'c.png').write_text('hello')
    upscale([folder / 'in'], folder / 'out', checkpoint=plain, device='cpu', progress='json')
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event['event'] for event in events]
    assert kinds[0] == 'start' and kinds[-1] == 'end'
    assert sorted(kinds[1:-1]) == ['done'] * 2 + ['failed'] + ['image'] * 2 + ['tile'] * 2
    assert events[-1] == dict(event='end', done=2, skipped=0, failed=1)
    assert [e['fraction'] for e in events if e['event'] == 'tile'] == [0.5, 1.0]


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(scale=0), 'scale must be'),
        (dict(scale=float('nan')), 'scale must be'),
        (dict(width=-3), 'width must be'),
        (dict(scale=2, width=300), 'not both'),
        (dict(suffix='.gif'), 'unknown format'),
    ],
)
def test_settings_that_cannot_be(folder, plain, settings, message):
    with pytest.raises(UserError, match=message):
        upscale([folder / 'in'], folder / 'out', checkpoint=plain, **settings)
