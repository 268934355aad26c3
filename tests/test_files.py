import pytest

from csnln_mm.errors import UserError
from csnln_mm.files import MAX_JSON_BYTES, atomic_write, read_json


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
    with pytest.raises(UserError, match=f'large.json is refused: .* {MAX_JSON_BYTES} bytes'):
        read_json(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(UserError, match='none.json does not exist'):
        read_json(tmp_path / 'none.json')
    with pytest.raises(UserError, match='is not a file'):
        read_json(tmp_path)
