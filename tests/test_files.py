import pytest

from csnln_mm.files import write_file


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / 'file'
    write_file(path, b'old')
    with pytest.raises(TypeError):
        write_file(path, 'text is not bytes')
    assert [p.name for p in tmp_path.iterdir()] == ['file'] and path.read_bytes() == b'old'
