"""Disks that are full, read-only or gone: one clear line, and the earlier checkpoints whole."""

import contextlib
import os
import shutil
import subprocess

import pytest
from command_line import error_in, refusal
from short_training import CONFIG, end_of, make_data, output_of, settings, start, train

from csnln_mm.mmagic.resume import latest_valid_checkpoint, list_checkpoints

pytestmark = pytest.mark.slow

STEPS = 12


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('disk'))


@contextlib.contextmanager
def mounted(folder, *options):
    """A file system of its own at a folder."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(['mount', *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'mounting a file system needs root: {done.stderr.strip()}')
    try:
        yield folder
    finally:
        subprocess.run(['umount', '-l', str(folder)], check=True)


def tmpfs(folder, size):
    return mounted(folder, '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs')


def fail(folder, work_dir, *options):
    """The message of a run that ends with an error."""
    return error_in(train(folder, work_dir, *options, expect=2))


def test_full_disk(folder, tmp_path):
    options = settings(STEPS, **{'default_hooks.checkpoint.max_keep_ckpts': -1})
    with tmpfs(tmp_path / 'disk', '1m') as work_dir:
        error = fail(folder, work_dir, *options)
        assert 'No space left on device' in error
        newest = latest_valid_checkpoint(work_dir)
        assert newest.path == list_checkpoints(work_dir)[0] and not newest.skipped
        assert f'The newest checkpoint is {newest.path}; --resume' in error
        assert not list(work_dir.glob('.*.partial'))
        # Room is made.
        subprocess.run(['mount', '-o', 'remount,size=100m', str(work_dir)], check=True)
        assert f'resuming from {newest.path}' in train(folder, work_dir, '--resume', *options)
        assert latest_valid_checkpoint(work_dir).path.name == f'iter_{STEPS}.pth'


@pytest.fixture
def refused(folder, capsys, monkeypatch):
    """The message of a run that does not begin in a work directory."""
    monkeypatch.chdir(folder)
    return lambda path: refusal(capsys, 'train', CONFIG, '--work-dir', path, *settings(STEPS))


def test_disk_full_from_the_beginning(refused, tmp_path):
    with tmpfs(tmp_path / 'disk', '64k') as disk:
        with contextlib.suppress(OSError):
            (disk / 'filler').write_bytes(bytes(10**6))
        error = refused(disk / 'work')
        assert f'cannot write to the work directory {disk}/work: No space' in error


def test_read_only_work_directory(refused, tmp_path):
    with tmpfs(tmp_path / 'disk', '2m') as disk:
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        error = refused(disk / 'work')
        assert 'cannot write to the work directory' in error and 'Read-only file system' in error


def test_a_file_where_the_work_directory_should_be(refused, tmp_path):
    (tmp_path / 'file').write_text('mine')
    assert 'cannot write to the work directory' in refused(tmp_path / 'file')
    assert (tmp_path / 'file').read_text() == 'mine'


def test_work_directory_vanishes(folder, tmp_path):
    process = start(folder, CONFIG, '--work-dir', tmp_path / 'work', *settings(1000))
    while process.is_alive() and not (tmp_path / 'work/iter_2.pth').exists():
        process.join(0.05)
    assert process.is_alive(), output_of(folder)
    os.rename(tmp_path / 'work', tmp_path / 'moved')
    assert end_of(process) == 2, output_of(folder)
    assert str(tmp_path / 'work') in error_in(output_of(folder))
    assert not (tmp_path / 'work').exists()
    assert not latest_valid_checkpoint(tmp_path / 'moved').skipped


def test_read_only_data(folder, tmp_path):
    with mounted(tmp_path / 'data', '--bind', str(folder / 'data')) as read_only:
        subprocess.run(['mount', '-o', 'remount,bind,ro', str(read_only)], check=True)
        with pytest.raises(OSError, match='Read-only'):
            (read_only / 'x').touch()
        train(tmp_path, 'work', *settings(2, **{'train_cfg.val_interval': 2}))


def test_one_checkpoint_is_kept_until_the_next_is_whole(folder, tmp_path):
    """With room for less than two, the first stays."""
    options = settings(STEPS, **{'default_hooks.checkpoint.max_keep_ckpts': 1})
    train(folder, tmp_path / 'measured', *settings(1))
    size = (tmp_path / 'measured/iter_1.pth').stat().st_size
    with tmpfs(tmp_path / 'disk', f'{int(1.6 * size) // 1024}k') as work_dir:
        assert 'No space left on device' in fail(folder, work_dir, *options)
        assert latest_valid_checkpoint(work_dir).path.name == 'iter_1.pth'
        shutil.rmtree(tmp_path / 'measured')
