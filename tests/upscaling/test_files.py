"""Files, folders and patterns: which are upscaled, where results go, what is reported."""

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_network import names, photograph, save_pretrained

from csnln_mm import upscaling
from csnln_mm.checkpoints import pretrained
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageHeader, check_format
from csnln_mm.upscaling.sizes import target_size
from csnln_mm.version import __version__

SOURCE, OUT = Path('in'), Path('out')


@pytest.fixture
def upscale(tmp_path, monkeypatch, plain):
    """In a folder with images in SOURCE."""
    monkeypatch.chdir(tmp_path)
    for name in ('b.png', 'a.jpg', 'sub/c.png', 'sub/deep/d.webp'):
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(8, 9)).save(SOURCE / name)
    (SOURCE / 'notes.txt').write_text('no image')
    return partial(upscaling.upscale, checkpoint=plain, device='cpu')


@pytest.mark.parametrize(
    'source, target, options, made',
    [
        (SOURCE, OUT, {}, ['a.png', 'b.png']),
        (SOURCE, OUT, dict(recursive=True), ['a.png', 'b.png', 'sub/c.png', 'sub/deep/d.png']),
        ('in/**/*.png', OUT, {}, ['b.png', 'sub/c.png']),
        (SOURCE / 'b.png', OUT / 'large.tif', {}, ['large.tif']),
    ],
)
def test_what_is_upscaled(upscale, source, target, options, made):
    upscale([source], target, **options)
    assert names(OUT) == made


def test_existing_results_are_skipped_or_replaced(upscale):
    OUT.mkdir()
    (OUT / 'a.png').write_text('old')
    results = upscale([SOURCE], OUT)
    assert {r.target.name: r.status for r in results} == {'a.png': 'skipped', 'b.png': 'done'}
    assert (OUT / 'a.png').read_text() == 'old'
    assert [r.status for r in upscale([SOURCE], OUT, overwrite=True)] == ['done', 'done']
    assert Image.open(OUT / 'a.png').size == (18, 16)
    # Nothing is loaded when all is done.
    results = upscale([SOURCE], OUT, checkpoint='none.pth')
    assert [r.status for r in results] == ['skipped', 'skipped']
    # A name that is mistyped is no input that is done.
    (missing,) = upscale([SOURCE / 'a.tif'], OUT)
    assert missing.status == 'failed' and 'does not exist' in missing.reason


def test_bad_files_do_not_stop_the_others(upscale):
    (SOURCE / 'cut.png').write_bytes((SOURCE / 'b.png').read_bytes()[:80])
    (SOURCE / 'empty.jpg').touch()
    Image.fromarray(np.ones((4, 4), np.int32)).save(SOURCE / 'float.tif')
    long = 'a' * 300 + '.png'
    results = upscale([SOURCE, 'none.png', 'in/x*', 'nowhere', long], OUT)
    reasons = {Path(r.source).name: r.reason for r in results if r.status == 'failed'}
    assert len(results) == 9 and reasons.keys() >= {'cut.png', 'nowhere'}
    assert 'is empty' in reasons['empty.jpg'] and 'does not exist' in reasons['none.png']
    assert 'type int32' in reasons['float.tif'] and 'no images match' in reasons['x*']
    assert 'too long' in reasons[long]
    assert names(OUT) == ['a.png', 'b.png']


def test_an_output_folder_that_is_a_file(upscale):
    OUT.touch()
    with pytest.raises(UserError, match='is a file; name a folder'):
        upscale([SOURCE / 'b.png'], OUT)


def test_formats_that_cannot_hold_an_image(upscale):
    image = Image.fromarray(photograph())
    image.putalpha(100)
    image.save('a.png')
    cv2.imwrite('b.png', photograph().astype(np.uint16) * 257)
    results = upscale(['a.png', 'b.png'], OUT, suffix='.jpg')
    assert 'transparency' in results[0].reason and '16 bits' in results[1].reason
    assert not OUT.exists()


def test_results_never_replace_an_input_or_each_other(upscale):
    Image.fromarray(photograph(8, 9)).save(SOURCE / 'a.png')
    before = (SOURCE / 'b.png').read_bytes()
    assert 'would replace the input' in upscale([SOURCE], SOURCE, overwrite=True)[0].reason
    assert (SOURCE / 'b.png').read_bytes() == before
    results = upscale([SOURCE], OUT)
    assert sorted(r.status for r in results) == ['done', 'done', 'failed']
    assert 'already the result of' in [r.reason for r in results if r.status == 'failed'][0]


def test_nothing_is_left_where_writing_fails(upscale):
    (OUT / 'b.png').mkdir(parents=True)
    (result,) = upscale([SOURCE / 'b.png'], OUT, overwrite=True)
    assert result.status == 'failed' and 'cannot write' in result.reason
    assert names(OUT) == []


def test_leftovers_of_a_killed_run_are_removed_by_the_next(upscale):
    OUT.mkdir()
    for name in '.a.png.123.partial', '.b.png.123.partial', '.other.png.123.partial':
        (OUT / name).touch()
    (OUT / 'a.png').touch()  # is there, and skipped
    assert [r.status for r in upscale([SOURCE], OUT)] == ['skipped', 'done']
    assert names(OUT) == ['.other.png.123.partial', 'a.png', 'b.png']


def test_a_result_goes_through_a_symbolic_link(upscale):
    Path('link.png').symlink_to('elsewhere.png')
    upscale([SOURCE / 'b.png'], 'link.png')
    assert Path('link.png').is_symlink() and Image.open('elsewhere.png').size == (18, 16)
    Path('input.png').symlink_to(SOURCE / 'b.png')
    (result,) = upscale([SOURCE / 'b.png'], 'input.png', overwrite=True)
    assert 'would replace the input' in result.reason
    assert Image.open(SOURCE / 'b.png').size == (9, 8)


@pytest.mark.parametrize('suffix, side', [('.webp', 8192), ('.jpg', 32751)])
def test_results_that_no_file_holds_are_refused_before_the_model_is_loaded(
    upscale, tmp_path, monkeypatch, suffix, side
):
    Image.new('L', (1, side)).save('tall.png')
    loaded = []
    monkeypatch.setattr(upscaling.upscaler, 'load_network', loaded.append)
    (result,) = upscale(['tall.png'], OUT, suffix=suffix, scale=2.0)
    (by_default,) = upscale(['tall.png'], OUT, suffix=suffix, checkpoint=None)
    assert by_default == result
    assert f'pixels a side, not 2x{2 * side}; use one of .png' in result.reason
    assert not loaded and not OUT.exists()
    check_format(Path(f'a{suffix}'), ImageHeader((2, 2 * (side - 1))))


def test_a_name_that_is_too_long_stops_no_other_image(upscale):
    name = 'n' * 249 + '.png'
    (SOURCE / 'b.png').rename(SOURCE / name)
    results = {Path(r.source).name: r for r in upscale([SOURCE])}
    assert results['a.jpg'].status == 'done'
    assert 'a name of 256 bytes is too long' in results[name].reason
    assert [r.status for r in upscale([SOURCE], OUT)] == ['done'] * 2
    assert names(OUT) == ['a.png', name]


def test_results_are_no_inputs(upscale):
    """Neither what lies in the output folder, nor what this package wrote, unless it is named."""
    options = dict(recursive=True)
    made = ['a.png', 'b.png', 'sub/c.png', 'sub/deep/d.png']
    for status in 'done', 'skipped':
        assert [r.status for r in upscale([SOURCE], SOURCE / 'out', **options)] == [status] * 4
        assert names(SOURCE / 'out') == made
    # In the output folder nothing is an input, whoever made it.
    Image.fromarray(photograph()).save(SOURCE / 'out/mine.png')
    assert len(upscale(['in/**/*.*'], SOURCE / 'out')) == 4
    # Elsewhere the files say it.
    results = upscale([SOURCE], SOURCE / 'third', scale=3.0, **options)
    assert names(SOURCE / 'third') == ['a.png', 'b.png', 'out/mine.png', *made[2:]]
    assert {r.status for r in results} == {'done'}
    (result,) = upscale([SOURCE / 'third'], 'new')
    assert 'results of csnln-mm; name them as files' in result.reason
    (result,) = upscale([SOURCE / 'third/a.png'], 'new')
    assert result.status == 'done' and Image.open('new/a.png').size == (54, 48)


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.tif', '.webp'])
def test_results_in_the_folder_of_the_inputs(upscale, suffix):
    folder = SOURCE / 'sub/deep'
    (folder / 'd.webp').rename(folder / 'd.dat')
    Image.fromarray(photograph(8, 9)).save(folder / 'd.bmp')
    assert [r.status for r in upscale([folder], folder, suffix=suffix)] == ['done']
    assert [r.status for r in upscale([folder], folder, suffix=suffix)] == ['skipped']
    assert names(folder) == sorted(['d.bmp', 'd.dat', f'd{suffix}'])


def test_an_unexpected_exception_is_the_failure_of_its_image(upscale, monkeypatch):
    read = upscaling.files.read_image

    def fail(path, frame):
        if Path(path).name == 'a.jpg':
            raise ZeroDivisionError('float\nmodulo')
        return read(path, frame)

    monkeypatch.setattr(upscaling.files, 'read_image', fail)
    results = upscale([SOURCE], OUT)
    assert [r.status for r in results] == ['failed', 'done']
    assert results[0].reason == 'ZeroDivisionError: float modulo'


def test_beside_the_input(upscale):
    upscale([SOURCE])
    assert names(SOURCE)[:4] == ['a.jpg', 'a_x2.png', 'b.png', 'b_x2.png']
    # Results are no inputs of the next run, nor of one with another factor.
    assert [r.status for r in upscale([SOURCE])] == ['skipped'] * 2
    results = upscale([SOURCE], scale=3.5, suffix='same')
    assert [r.target.name for r in results] == ['a_x3.5.jpg', 'b_x3.5.png']
    assert Image.open(results[1].target).size == (32, 28)
    (result,) = upscale([SOURCE / 'b_x2.png'], width=50)
    assert Image.open(result.target).size == (50, 44) and result.target.name == 'b_x2_w50.png'


def test_a_folder_gives_the_bytes_of_each_file_alone(upscale, checkpoint):
    Image.fromarray(photograph(40, 70)).save(SOURCE / 'large.png')
    settings = dict(checkpoint=checkpoint, tile=32, scale=2.5)
    results = upscale([SOURCE], OUT, recursive=True, **settings)
    assert len(results) == 5
    for result in results:
        (alone,) = upscale([result.source], 'alone', overwrite=True, **settings)
        assert result.target.read_bytes() == alone.target.read_bytes()


def test_progress_in_lines(upscale, capsys, monkeypatch):
    monkeypatch.setattr('csnln_mm.upscaling.progress._INTERVAL', 0.0)
    Image.fromarray(photograph(70, 40)).save(SOURCE / 'b.png')
    (SOURCE / 'c.png').write_text('hello')
    upscale([SOURCE], OUT, progress=True, tile=32)
    text, errors = capsys.readouterr()
    assert (
        '[2/2] ' in text and '40x70 to 80x140 by plain.pth, 6 tiles of 32 px, overlap 8; ' in text
    )
    assert '100 %; all: 0 s left' in text
    assert errors == 'failed: in/c.png is damaged or no image\n'
    assert text.endswith('2 done, 0 skipped, 1 failed\n')


def test_progress_for_programs(upscale, capsys):
    (SOURCE / 'c.png').write_text('hello')
    upscale([SOURCE], OUT, progress='json')
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event['event'] for event in events]
    # What is refused is known first; a result is written while the next image is upscaled.
    assert kinds[:4] == ['start', 'failed', 'image', 'tile'] and kinds[-2:] == ['done', 'end']
    assert sorted(kinds[2:-1]) == ['done'] * 2 + ['image'] * 2 + ['tile'] * 2
    assert events[0] == dict(
        event='start', images=2, left_out=0, not_read={}, lossy_model=None, shard=None
    )
    assert events[-1] == dict(event='end', done=2, skipped=0, failed=1)
    assert [e['fraction'] for e in events if e['event'] == 'tile'] == [0.5, 1.0]


def test_shares_make_up_the_whole(upscale, capsys):
    (SOURCE / 'c.png').write_text('hello')
    whole = upscale([SOURCE], OUT, recursive=True, width=20)
    shares = [
        upscale([SOURCE], 'shares', recursive=True, width=20, shard=f'{k}/3', progress=True)
        for k in (1, 2, 3)
    ]
    assert [len(share) for share in shares] == [2, 2, 1]
    assert sorted((r.source, r.status) for share in shares for r in share) == sorted(
        (r.source, r.status) for r in whole
    )
    assert names(Path('shares')) == names(OUT)
    for name in names(OUT):
        assert Path('shares', name).read_bytes() == (OUT / name).read_bytes()
    assert 'share 2/3 of 5 images, by --shard; --shard 1/1 takes' in capsys.readouterr().out


def test_the_share_is_what_the_launcher_tells(upscale, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert len(upscale([SOURCE], OUT)) == 2
    assert [r.target.name for r in upscale([SOURCE], OUT, overwrite=True, shard='auto')] == [
        'b.png'
    ]


@pytest.mark.parametrize('overwrite, status', [(False, 'skipped'), (True, 'done')])
def test_what_another_process_has_made_meanwhile(upscale, overwrite, status):
    def tell(event):
        if event['event'] == 'start':
            OUT.mkdir()
            (OUT / 'b.png').write_text('made')

    results = upscale([SOURCE], OUT, overwrite=overwrite, progress=tell)
    assert [r.status for r in results] == ['done', status]
    assert ((OUT / 'b.png').read_bytes() == b'made') is not overwrite


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(scale=0), 'scale must be'),
        (dict(shard='0/3'), 'a share is named K/N'),
        (dict(scale=float('nan')), 'scale must be'),
        (dict(width=-3), 'width must be'),
        (dict(scale=2, width=300), 'give one size, not scale and width'),
        (dict(fit=(0, 300)), 'fit must be from 1 to 131072 pixels, got 0x300'),
        (dict(skip_larger=True), 'takes a size'),
        (dict(name='{stem}_{modl}'), 'fields are {stem}, {model}'),
        (dict(name='../{stem}'), 'within the output folder'),
        (dict(name='{stem'), 'fields are'),
        (dict(suffix='.jp2'), 'unknown format'),
    ],
)
def test_settings_that_cannot_be(upscale, settings, message):
    with pytest.raises(UserError, match=message):
        upscale([SOURCE], OUT, **settings)


@pytest.mark.parametrize(
    'size, line',
    [
        (dict(scale=2), '9x8 to 18x16 by plain.pth, in one tile'),
        (dict(scale=8), '9x8 to 72x64 by plain.pth (x2, then resized), in one tile'),
        (dict(width=5), '9x8 to 5x4 by plain.pth (x2, then resized to less than the input)'),
    ],
)
def test_lines_name_the_model_and_say_what_was_resized(upscale, capsys, size, line):
    upscale([SOURCE / 'b.png'], OUT, progress=True, **size)
    assert line in capsys.readouterr().out


def test_lossy_files_are_upscaled_by_the_model_for_them(upscale, tmp_path, monkeypatch, capsys):
    save_pretrained(tmp_path / 'usual.safetensors', 2)
    save_pretrained(tmp_path / 'photo.safetensors', 2, made_for='lossy files')
    monkeypatch.setattr(pretrained, 'WEIGHTS', tmp_path)
    both = [SOURCE / 'a.jpg', SOURCE / 'b.png']
    upscale(both, OUT, checkpoint=None, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'photo upscales JPEG and other lossy files; -n names another model'
    assert 'by photo,' in lines[1] and 'by usual,' in lines[2]
    for source, model in zip(both, ('photo', 'usual'), strict=True):
        upscale([source], 'named.png', checkpoint=model, overwrite=True)
        assert Path('named.png').read_bytes() == (OUT / f'{source.stem}.png').read_bytes()
    # A width is no different, and a model that is named upscales all.
    upscale(both, OUT, checkpoint=None, width=18, overwrite=True, progress=True)
    assert 'by photo,' in capsys.readouterr().out
    upscale(both, OUT, checkpoint='usual', overwrite=True, progress=True)
    assert 'photo' not in capsys.readouterr().out


def test_what_exists_is_told_with_what_made_it(upscale, capsys):
    upscale([SOURCE], OUT)
    Image.fromarray(photograph(8, 9)).save(OUT / 'a.png')
    results = upscale([SOURCE], OUT, progress=True)
    note = f'made by plain.pth, csnln-mm {__version__}'
    assert [result.reason for result in results] == ['', note]
    how = '(--overwrite replaces, --name renames)'
    told = f'0 done, 2 skipped because their results exist, 1 {note} {how}, 0 failed\n'
    assert capsys.readouterr().out == told
    upscale([SOURCE / 'b.png'], OUT, progress=True)
    assert f'1 skipped because out/b.png exists, {note} {how}' in capsys.readouterr().out


@pytest.mark.parametrize(
    'out, name, made',
    [
        (OUT, '{stem}_{model}_x{scale}', 'b_plain.pth_x2.png sub/c_plain.pth_x2.png'),
        (OUT, '{model}/{stem}_{width}x{height}', 'plain.pth/b_18x16.png plain.pth/sub/c_18x16.png'),
        ('out/x{scale}', None, 'x2/b.png x2/sub/c.png'),
        ('out/{stem}_x{scale}', None, 'b_x2.png sub/c_x2.png'),
        ('out/{stem}-{model}.webp', None, 'b-plain.pth.webp sub/c-plain.pth.webp'),
    ],
)
def test_names_from_a_template(upscale, out, name, made):
    (SOURCE / 'a.jpg').unlink()
    results = upscale(['in/**/[bc].png'], out, name=name)
    assert [result.status for result in results] == ['done'] * 2
    assert names(OUT) == made.split()
    # Beside their inputs.
    if name and '/' not in name:
        upscale([SOURCE / 'b.png'], name=name)
        assert Path('in/b_plain.pth_x2.png').is_file()


def test_two_models_on_the_same_image(upscale, checkpoint):
    for model in None, checkpoint:
        options = {} if model is None else dict(checkpoint=model)
        (result,) = upscale([SOURCE / 'b.png'], name='{stem}_{model}', **options)
        assert result.status == 'done'
    assert names(SOURCE)[1:4] == ['b.png', 'b_plain.pth.png', 'b_tiny.pth.png']


@pytest.mark.parametrize(
    'size, expected',
    [
        (dict(longest=36), (36, 32)),
        (dict(shortest=24), (27, 24)),
        (dict(fit=(36, 24)), (27, 24)),
        (dict(fit=(27, 99)), (27, 24)),
        (dict(at_least=(36, 24)), (36, 32)),
        (dict(width=27), (27, 24)),
    ],
)
def test_sizes_for_a_batch(upscale, size, expected):
    (result,) = upscale([SOURCE / 'b.png'], **size)
    assert Image.open(result.target).size == expected
    label = target_size(**size).label
    assert result.target.name == f'b_{label}.png'
    # Such results are no inputs.
    assert len(upscale([SOURCE], **size)) == 2


def test_images_that_are_large_enough_are_left_out(upscale, capsys):
    Image.fromarray(photograph(20, 30)).save(SOURCE / 'large.png')
    results = upscale([SOURCE], OUT, longest=30, skip_larger=True, progress=True)
    assert names(OUT) == ['a.png', 'b.png']
    assert results[0] == (str(SOURCE / 'large.png'), None, 'skipped', 'it has 30x20 pixels already')
    assert '2 done, 1 skipped because in/large.png is large enough' in capsys.readouterr().out


def test_images_of_other_formats_are_counted(upscale, capsys):
    for name in 'IMG_1.CR2', 'IMG_2.cr2', 'c.psd':
        (SOURCE / name).write_bytes(b'II*\0')
    Image.fromarray(photograph(8, 9)).save(SOURCE / 'd.jfif', 'JPEG')
    upscale([SOURCE], OUT, progress=True)
    assert names(OUT) == ['a.png', 'b.png', 'd.png']
    assert capsys.readouterr().out.endswith(
        '3 done, 0 skipped, 0 failed; not read: 2 .cr2 (raw; develop them to TIFF or PNG first), '
        '1 .psd (convert it to PNG or JPEG first)\n'
    )
    for name in 'a.jpg', 'b.png', 'd.jfif':
        (SOURCE / name).unlink()
    (result,) = upscale([SOURCE], OUT)
    assert 'no images in in' in result.reason and '2 .cr2 (raw' in result.reason


@pytest.mark.parametrize('out', ['out.heic', 'out.jp2', 'out.DNG'])
def test_formats_that_cannot_be_written_make_no_folder(upscale, out):
    with pytest.raises(UserError, match=r'cannot be written; use one of'):
        upscale([SOURCE / 'b.png'], out)
    assert not Path(out).exists()
