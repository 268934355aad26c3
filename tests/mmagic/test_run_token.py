"""Two runs in one work directory: the one that was started last has it."""

import os
import signal
import time
from pathlib import Path

import pytest
from forked_tool import end_of, run_tool, start_tool
from short_training import CONFIG, DieAt, RenameBefore, checkpoint, make_data, output_of, settings

from csnln_mm.mmagic.run_token import RunToken, TakenOver


def test_the_later_run_has_the_folder(tmp_path):
    first = RunToken.take(tmp_path)
    first.check()
    second = RunToken.take(tmp_path)
    second.check()
    with pytest.raises(TakenOver, match=f'by another run .process {os.getpid()} on .*, started '):
        first.check()


def test_a_token_that_somebody_removed_is_written_again(tmp_path):
    token = RunToken.take(tmp_path)
    os.remove(token.path)
    token.check()
    assert [path.name for path in tmp_path.iterdir()] == ['run_token']
    with pytest.raises(TakenOver):
        RunToken(token.path, 'another').check()


def test_a_checkpoint_that_the_earlier_run_replaces_until_then(tmp_path):
    folder = make_data(tmp_path)
    words = [CONFIG, '--work-dir', 'run', *settings(2)]
    run_tool(folder, 'train.py', *words)
    renamed = RenameBefore('run_token', 'run/iter_2.pth', 'run/iter_3.pth')
    output = run_tool(folder, 'train.py', *words, '--resume', fault=renamed)
    assert 'resuming from run/iter_3.pth' in output


@pytest.mark.slow
def test_a_process_that_was_stopped_writes_nothing_when_it_goes_on(tmp_path):
    """As on a machine that Slurm called failed, and whose job it started again."""
    folder = make_data(tmp_path)
    words = [CONFIG, '--work-dir', 'run', *settings(6)]
    stop = DieAt('open', '.iter_2.pth', number=signal.SIGSTOP)
    first = start_tool(folder, 'train.py', words, output='first.txt', fault=stop)
    state = Path(f'/proc/{first.pid}/stat')
    while first.is_alive() and ') T ' not in state.read_text():
        time.sleep(0.02)
    try:
        again = start_tool(folder, 'train.py', [*words, '--resume'])
        assert end_of(again) == 0, output_of(folder)
        there = {path: path.stat() for path in (folder / 'run').iterdir() if path.is_file()}
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert end_of(first) == 2
    output = (folder / 'first.txt').read_text()
    assert 'Traceback' not in output
    assert output.splitlines()[-1].startswith('csnln: error: ')
    assert ' was taken over by another run (process ' in output.splitlines()[-1]
    after = {path: path.stat() for path in (folder / 'run').iterdir() if path.is_file()}
    assert {path: s.st_mtime_ns for path, s in after.items()} == {
        path: s.st_mtime_ns for path, s in there.items()
    }
    assert checkpoint(folder / 'run', 6)
