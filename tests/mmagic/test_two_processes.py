"""Two processes train as one; where one is killed, the job ends or starts again and loses nothing.

Faults that torchrun has a part in are tested with it, but only one with the interpreters that it
starts: they take seconds to import.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from command_line import environment
from forked_job import end_of_job, run_job, run_torchrun, start_job
from forked_tool import run_tool
from short_training import (
    CONFIG,
    ROOT,
    assert_same,
    assert_same_training,
    checkpoint,
    make_data,
    settings,
)

from csnln_mm.mmagic.resume import list_checkpoints

pytestmark = pytest.mark.slow

STEPS = 6
OPTIONS = ['--auto-scale-lr', *settings(STEPS)]
WITHOUT_INTERVAL = [*OPTIONS, 'default_hooks.checkpoint.interval=99']
KILLS = int(os.environ.get('CSNLN_TEST_TWO_PROCESS_KILLS', 0))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('two'))


def start(folder, config, *arguments, **changed):
    """tools/dist_train.sh, whose processes write to output.txt."""
    # tests/tools/test_faults.py has what is checked before.
    env = environment(CSNLN_CHECKED='1', **changed)
    command = ['bash', ROOT / 'tools/dist_train.sh', config, 2, *arguments]
    with open(folder / 'output.txt', 'wb') as output:
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=env,
            start_new_session=True,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def end_of(job, seconds=150):
    """Its exit status; one that does not end is killed, lest the tests wait for it forever."""
    try:
        return job.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        raise


def processes_of(folder, variable=''):
    """Those that write to the output of a job, with ``variable`` in their environment."""
    output, found = str(folder / 'output.txt'), []
    for path in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if os.readlink(path / 'fd/1') == output:
                if variable.encode() in (path / 'environ').read_bytes().split(b'\0') + [b'']:
                    found.append(int(path.name))
    return found


def left_of(folder):
    """Processes that a job leaves; those that load see after some time that it is over."""
    end = time.monotonic() + 60
    while (left := processes_of(folder)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@pytest.fixture(scope='module')
def whole(folder):
    """The last checkpoint of a job; each process has written what it saw and ended with."""
    config = faulty_config(folder, 'two', dict(type='DumpWeightsHook', folder='weights'))
    output = run_job(folder, 'train.py', config, '--work-dir', 'whole', *OPTIONS)
    assert output.splitlines().count('training:') == 1  # process 0 says what it will be
    return checkpoint(folder / 'whole', STEPS)


def faulty_config(folder, name, *hooks):
    """The demo's config with hooks of these tests."""
    path = folder / f'{name}.py'
    path.write_text(f"""
_base_ = {str(CONFIG)!r}
custom_imports = dict(imports=['csnln_mm.mmagic', 'faulty_process'])
custom_hooks = {list(hooks)!r}
""")
    return path


def death(mark):
    return dict(type='DieOnceHook', rank=1, step=4, mark=mark)


def test_both_see_their_own_samples_and_end_with_the_same_weights(folder, whole):
    first, second = (torch.load(folder / f'weights/{rank}.pth') for rank in (0, 1))
    assert not set(first['seen']) & set(second['seen'])
    assert_same(first['weights'], second['weights'])


def test_a_test_by_two_equals_one_by_one(folder, whole):
    words = CONFIG, f'whole/iter_{STEPS}.pth', '--cfg-options', 'model.generator.mid_channels=4'
    run_job(folder, 'test.py', *words, '--out', 'two.json')
    run_tool(folder, 'test.py', *words, '--out', 'one.json')
    one, two = (json.loads((folder / name).read_text()) for name in ('one.json', 'two.json'))
    assert one == pytest.approx(two, abs=1e-4)


def test_the_job_ends_and_can_be_resumed(folder, whole):
    config = faulty_config(folder, 'ends', death('ends.mark'))
    arguments = config, '--work-dir', 'ends', *OPTIONS
    status, output = run_torchrun(folder, 'train.py', *arguments)
    assert (folder / 'ends.mark').exists(), output[-20000:]
    assert status != 0 and not left_of(folder)
    assert 'Signal 9 (SIGKILL)' in output
    # The other process notices by itself, or torchrun is quicker to tell it.
    assert re.search('another of its processes has ended|received SIGTERM in step', output), output
    # Process 0 may have saved step 4 already.
    assert re.search(r'ends/iter_[34]\.pth; --resume continues from it', output), output[-20000:]
    run_job(folder, 'train.py', *arguments, '--resume')
    assert_same_training(whole, checkpoint(folder / 'ends', STEPS))


def test_all_of_the_job_is_told_to_end(folder, whole, tmp_path):
    """By a cluster, or by a terminal: torchrun, which tells its processes and what loads for
    them."""
    job = start(folder, CONFIG, '--work-dir', tmp_path, *WITHOUT_INTERVAL)
    while job.poll() is None and '[2/6]' not in (folder / 'output.txt').read_text():
        time.sleep(0.05)
    assert len(processes_of(folder)) > 3
    os.killpg(job.pid, signal.SIGTERM)
    assert end_of(job) == 128 + signal.SIGTERM
    output = (folder / 'output.txt').read_text()
    step = saved_step(tmp_path)
    assert 'Traceback' not in output, output[-20000:]
    assert f'[{step}/6]' in output and f'[{step + 1}/6]' not in output
    said = f'csnln: received SIGTERM; step {step} is completed and saved. The newest checkpoint is '
    assert output.splitlines()[-1].startswith(said), output[-20000:]
    assert not left_of(folder)
    resume_and_compare(folder, whole, tmp_path)


def test_one_process_is_told_and_both_end_after_the_same_step(folder, whole, tmp_path):
    job = start_job(folder, 'train.py', CONFIG, '--work-dir', tmp_path, *WITHOUT_INTERVAL)
    while job[0].is_alive() and '[2/6]' not in (folder / 'rank_0.txt').read_text():
        time.sleep(0.05)
    os.kill(job[1].pid, signal.SIGUSR1)
    output = end_of_job(folder, job, expect=128 + signal.SIGUSR1)
    assert output.count('csnln: ') == 1
    assert f'received SIGUSR1; step {saved_step(tmp_path)} is completed and saved' in output
    resume_and_compare(folder, whole, tmp_path)


def saved_step(work_dir):
    (saved,) = work_dir.glob('*.pth')
    return int(saved.stem.removeprefix('interrupted_iter_'))


def resume_and_compare(folder, whole, work_dir):
    words = CONFIG, '--work-dir', work_dir, '--resume', *WITHOUT_INTERVAL
    assert 'resuming from' in run_job(folder, 'train.py', *words)
    assert_same_training(whole, checkpoint(work_dir, STEPS))
    assert not list(work_dir.glob('interrupted_*'))


def test_torchrun_starts_the_job_again_where_it_was(folder, whole):
    config = faulty_config(folder, 'again', death('again.mark'))
    arguments = config, '--work-dir', 'again', *OPTIONS
    status, output = run_torchrun(folder, 'train.py', *arguments, options=['--max-restarts=1'])
    assert status == 0, output[-20000:]
    assert (folder / 'again.mark').exists()
    assert re.search(r'resuming from again/iter_[34]\.pth', output), output[-20000:]
    assert not left_of(folder)
    assert_same_training(whole, checkpoint(folder / 'again', STEPS))


@pytest.mark.skipif(not KILLS, reason='takes 15 s for each of CSNLN_TEST_TWO_PROCESS_KILLS')
def test_killed_at_random_moments(folder, whole):
    """One of the two, or what loads for them, also while the job starts or resumes."""
    moments = random.Random(0)
    job = start(
        folder, CONFIG, '--work-dir', 'random', *OPTIONS, TORCHRUN_ARGS=f'--max-restarts={KILLS}'
    )
    killed = 0
    while killed < KILLS and job.poll() is None:
        time.sleep(moments.uniform(5, 12))
        victims = processes_of(folder, f'RANK={moments.randrange(2)}')
        if victims:
            os.kill(moments.choice(victims), signal.SIGKILL)
            killed += 1
    status, output = end_of(job), (folder / 'output.txt').read_text()
    assert status == 0, output[-20000:]
    print(f'{killed} killed')
    assert_same_training(whole, checkpoint(folder / 'random', STEPS))


def test_a_loss_that_is_infinite_in_one_process_stops_both(folder):
    """It says so, though the other, which is silent, ends first, and torchrun then tells it to."""
    loss = dict(type='InfiniteLossHook', rank=1, step=3)
    config = faulty_config(folder, 'loss', loss, dict(type='SlowDiskHook', rank=1))
    status, output = run_torchrun(folder, 'train.py', config, '--work-dir', 'loss', *OPTIONS)
    assert status == 2, output[-20000:]
    said = [line for line in output.splitlines() if line.startswith('csnln: error: ')]
    assert said[-1:] * 2 == said, output[-20000:]  # dist_run.py repeats it as the last line
    assert said[0].startswith('csnln: error: training stopped: loss is ')
    assert [path.name for path in list_checkpoints(folder / 'loss')] == ['iter_2.pth', 'iter_1.pth']
