"""Commands where less memory may be taken than the machine has."""

import resource
import subprocess
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from tiny_network import photograph

CGROUPS = Path('/sys/fs/cgroup')


@contextmanager
def memory_cgroup(limit):
    """A control group of which the processes may take so many bytes together; its folder."""
    v1, v2 = CGROUPS / 'memory', CGROUPS
    top, name = (v1, 'memory.limit_in_bytes') if v1.is_dir() else (v2, 'memory.max')
    folder = top / f'csnln-test-{uuid.uuid4().hex[:8]}'
    try:
        folder.mkdir()
        try:
            (folder / name).write_text(str(limit))
            yield folder
        finally:
            folder.rmdir()
    except OSError as error:
        pytest.skip(f'no control group can be made here: {error}')


def upscale(folder, preexec_fn):
    command = [sys.executable, '-m', 'csnln_mm', 'upscale', 'photo.png', '-g', 'cpu']
    return subprocess.run(
        command, cwd=folder, preexec_fn=preexec_fn, capture_output=True, text=True
    )


@pytest.mark.slow
def test_an_image_in_a_control_group_of_900_mb(tmp_path):
    """By what the machine has free the tile would be too large, and the process be killed."""
    Image.fromarray(photograph(512, 512)).save(tmp_path / 'photo.png')
    with memory_cgroup(900 * 10**6) as folder:

        def join():
            (folder / 'cgroup.procs').write_text('0')

        done = upscale(tmp_path, join)
    assert done.returncode == 0, done.stderr
    assert ' tiles of ' in done.stdout
    assert Image.open(tmp_path / 'photo_x2.png').size == (1024, 1024)


def test_a_limit_that_is_too_low_for_torch_is_one_line(tmp_path):
    Image.fromarray(photograph(8, 8)).save(tmp_path / 'photo.png')

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (4 * 10**8, 4 * 10**8))

    done = upscale(tmp_path, limit)
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert done.stderr.startswith('csnln: error: PyTorch cannot be loaded: ')
    assert done.stderr.endswith('limited to 0.4 GB: raise the limit (ulimit -v)\n')
