"""Signals at any moment of a run: in a step, a save, a validation, while it starts or resumes.

``CSNLN_TEST_SIGNALS=200`` sends more of them.
"""

import os
import random
import re
import shutil
import signal
import time

import pytest
from short_training import (
    CONFIG,
    assert_same_training,
    checkpoint,
    end_of,
    make_data,
    output_of,
    settings,
    start,
)

from csnln_mm.mmagic.resume import latest_valid_checkpoint

SIGNALS = int(os.environ.get('CSNLN_TEST_SIGNALS', 12))
STEPS = 12
OPTIONS = {
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'train_cfg.val_interval': 3,
    'default_hooks.checkpoint.interval': 4,
    'default_hooks.checkpoint.max_keep_ckpts': 2,
    'model.generator.num_recurrences': 1,
}


def completed_steps(output):
    return max(map(int, re.findall(r'Iter\(train\) +\[ *(\d+)/', output)), default=0)


def files(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth'))


def train(folder, words, number=None, delay=0.0):
    """(exit status, whether the signal was sent) of a training.

    Args:
        folder: to run in.
        words: arguments of tools/train.py.
        number: signal to send, unless the training ends before.
        delay: seconds after which.
    """
    process = start(folder, *words)
    process.join(delay)
    sent = number is not None and process.is_alive()
    if sent:
        os.kill(process.pid, number)
    return end_of(process), sent


@pytest.mark.slow
def test_no_completed_step_is_lost(tmp_path):
    make_data(tmp_path)
    words = CONFIG, '--resume', *settings(STEPS, **OPTIONS), '--work-dir'
    status, _ = train(tmp_path, [*words, 'whole'])
    assert status == 0, output_of(tmp_path)
    began = time.monotonic()
    train(tmp_path, [*words, 'again'])
    seconds = time.monotonic() - began
    shutil.rmtree(tmp_path / 'again')
    moments = random.Random(0)
    sent, lost, before, interrupted = 0, 0, 0, []
    while sent < SIGNALS or before < STEPS:
        number = moments.choice([signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
        delay = moments.uniform(0.2, 1) * seconds
        sending = number if sent < SIGNALS else None
        status, told = train(tmp_path, [*words, 'signals'], sending, delay)
        sent += told
        output = output_of(tmp_path)
        # Before the training begins, a signal does what it does to any program.
        assert status in (0, 128 + number, -number), output
        assert 'Traceback' not in output or status < 0, output
        steps = max(before, completed_steps(output))
        newest = latest_valid_checkpoint(tmp_path / 'signals')
        saved = newest.content['meta']['iter'] if newest.path else 0
        lost += steps - saved
        assert not newest.skipped
        interrupted.append(status != 0)
        print(f'{sent}. signal {number}, status {status}: {steps} completed, {saved} saved')
        before = saved
        if status == 0:
            assert before == STEPS, output
            whole, resumed = (checkpoint(tmp_path / name, STEPS) for name in ('whole', 'signals'))
            assert_same_training(whole, resumed)
            assert files(tmp_path / 'signals') == files(tmp_path / 'whole')
            last = (tmp_path / 'signals/last_checkpoint').read_text()
            assert last.endswith(f'signals/iter_{STEPS}.pth')
            if sent < SIGNALS:
                shutil.rmtree(tmp_path / 'signals')
                before = 0
    print(f'{sent} signals, {sum(interrupted)} runs ended by them, {lost} completed steps lost')
    assert lost == 0
