import os
import subprocess
import sys

import pytest

from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write, check_file, check_folder, read_json, remove_partials
from csnln_mm.limits import JSON_BYTES


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / 'file'
    atomic_write(path, b'old')
    with pytest.raises(TypeError):
        atomic_write(path, 'text is not bytes')
    assert [p.name for p in tmp_path.iterdir()] == ['file'] and path.read_bytes() == b'old'


def test_missing_folders_are_made(tmp_path):
    atomic_write(tmp_path / 'a/b/file.json', b'{"x": [1]}', durable=True)
    assert read_json(tmp_path / 'a/b/file.json') == dict(x=[1])
    assert [p.name for p in (tmp_path / 'a/b').iterdir()] == ['file.json']


def test_the_longest_name_that_is_legal_can_be_written(tmp_path):
    path = tmp_path / ('n' * 255)
    atomic_write(path, b'content')
    assert path.read_bytes() == b'content' and len(list(tmp_path.iterdir())) == 1


def test_a_symbolic_link_stays_and_its_file_is_written(tmp_path):
    link, file = tmp_path / 'link', tmp_path / 'elsewhere/file'
    link.symlink_to(file)
    for content in b'new', b'newer':
        atomic_write(link, content)
        assert link.is_symlink() and file.read_bytes() == content
    assert [p.name for p in file.parent.iterdir()] == ['file']


# Stops where the file is written, and not yet moved into place.
_WRITER = """
import os, sys, time
from pathlib import Path
from csnln_mm import files
files.os.replace = lambda *paths: (print('written', flush=True), time.sleep(60))
files.atomic_write(Path(sys.argv[1]), b'content')
"""


@pytest.mark.parametrize('name', ['file', 'n' * 255])
def test_what_a_killed_process_left_is_removed_and_a_file_being_written_is_not(tmp_path, name):
    path, other = tmp_path / name, tmp_path / 'other'
    (tmp_path / '.file.partial').touch()  # none of ours
    with subprocess.Popen(
        [sys.executable, '-c', _WRITER, path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == 'written\n'
        (partial,) = tmp_path.glob('.*.*.partial')
        remove_partials([path])
        assert partial.exists()
        process.kill()
    remove_partials([other])
    assert partial.exists()
    remove_partials([other, path])
    assert [p.name for p in tmp_path.iterdir()] == ['.file.partial']


def test_what_cannot_be_written_is_known_before(tmp_path):
    (tmp_path / 'file').touch()
    check_file(tmp_path / 'new/folder/a.png')
    check_folder(tmp_path / 'new/folder')
    assert os.listdir(tmp_path) == ['file']
    for path, reason in (
        (tmp_path, 'it is a folder'),
        (tmp_path / 'file/new/a.png', 'file is not a folder; name another'),
        (tmp_path / ('ü' * 126 + '.png'), 'a name of 256 bytes is too long, 255 are possible'),
        (tmp_path / ('n' * 256) / 'a.png', 'a name of 256 bytes is too long'),
    ):
        with pytest.raises(UserError, match=reason):
            check_file(path)


@pytest.mark.parametrize('content', ['', '[' * 100000, '1' * 5000, '{"a": NaN', '{} {}', '\xff'])
def test_what_is_no_json_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / 'file.json'
    path.write_bytes(content.encode('latin-1'))
    with pytest.raises(UserError, match='file.json is no JSON') as caught:
        read_json(path)
    assert '\n' not in str(caught.value)


def test_json_is_not_read_beyond_its_limit(tmp_path):
    path = tmp_path / 'large.json'
    with path.open('wb') as file:
        file.truncate(2**34)
    with pytest.raises(UserError, match=f'large.json is refused: .* {JSON_BYTES} bytes'):
        read_json(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(UserError, match='none.json does not exist'):
        read_json(tmp_path / 'none.json')
    with pytest.raises(UserError, match='is not a file'):
        read_json(tmp_path)
