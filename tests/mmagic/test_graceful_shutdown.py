"""Real signals at chosen moments of small runs, in this process.

test_random_signals sends them to processes at random moments, test_two_processes to one of two.
"""

import multiprocessing
import os
import resource
import signal
import threading
import time

import pytest
import torch
from mmengine.hooks import EMAHook
from short_training import assert_same, assert_same_training, end_of, output_of, start_tool
from tiny_runner import At, make_runner

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.errors import RunInterrupted
from csnln_mm.mmagic.graceful_shutdown import SIGNALS, graceful_shutdown
from csnln_mm.mmagic.resume import latest_valid_checkpoint, use_safe_loading


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """What a program has; put back after a test. Repetitions are waited for less long."""
    use_safe_loading()
    monkeypatch.setattr('csnln_mm.mmagic.graceful_shutdown._SAME_WISH', 0.1)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def tell(number=signal.SIGTERM):
    return lambda: os.kill(os.getpid(), number)


def train(runner):
    with graceful_shutdown(runner):
        runner.train()


def interrupt(runner):
    """The exception that a signal ends a run with."""
    with pytest.raises(RunInterrupted) as raised:
        train(runner)
    return raised.value


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


# After the sixth step, without an interruption; MMEngine saves with the best also the latest.
CHECKPOINTS = ['best_error_iter_5.pth', 'iter_4.pth', 'iter_5.pth']


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_the_step_in_progress_is_completed_and_saved(tmp_path, number, capfd):
    before = {number: signal.getsignal(number) for number in SIGNALS}
    error = interrupt(make_runner(tmp_path, At('before_train_iter', 6, tell(number))))
    assert str(error) == f'received {number.name}; step 6 is completed and saved'
    assert error.status == 128 + number
    assert names(tmp_path) == sorted(['interrupted_iter_6.pth', *CHECKPOINTS])
    assert (tmp_path / 'last_checkpoint').read_text().endswith('/iter_5.pth')
    assert 'ending after this step' in capfd.readouterr().err
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


MOMENTS = {
    'the first step': ('before_train_iter', 1),
    'a step': ('before_train_iter', 6),
    'a save': ('before_save_checkpoint', 1),
    'the save of the best': ('before_save_checkpoint', 2),
    'a validation': ('before_val_iter', 3),
    'the end of a validation': ('after_val_epoch', 1),
    'the last step': ('after_train_iter', 12),
}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Folder of a run without a signal."""
    folder = tmp_path_factory.mktemp('whole')
    make_runner(folder).train()
    return folder


@pytest.mark.parametrize('moment', MOMENTS)
def test_a_resumed_run_equals_one_without_interruption(whole, tmp_path, moment):
    runner = make_runner(tmp_path / 'ended', At(*MOMENTS[moment], tell()))
    interrupt(runner)
    newest = latest_valid_checkpoint(tmp_path / 'ended')
    assert newest.content['meta']['iter'] == runner.optim_wrapper._inner_count
    train(make_runner(tmp_path / 'ended', load_from=newest.path))
    assert names(tmp_path / 'ended') == names(whole)
    last = latest_valid_checkpoint(whole).path.name
    one, other = (load_checkpoint(folder / last) for folder in (whole, tmp_path / 'ended'))
    assert_same_training(one, other)
    one, other = (content['message_hub']['runtime_info'] for content in (one, other))
    assert one['keep_ckpt_ids'] == other['keep_ckpt_ids']


@pytest.mark.parametrize('image', [2, 10], ids=['an image', 'the last image'])
def test_a_validation_ends_before_the_next_layer(tmp_path, image):
    """An image may take minutes, and a cluster gives less."""
    run = []

    def tell_model():  # the model itself begins when it is told, its layer does not
        runner.model.register_forward_pre_hook(lambda *_: tell()())
        runner.model.layer.register_forward_hook(lambda *_: run.append('layer'))

    runner = make_runner(tmp_path, At('before_val_iter', image, tell_model))
    assert str(interrupt(runner)) == 'received SIGTERM; step 5 is completed and saved'
    assert not run
    assert torch.nn.Linear(1, 1)(torch.ones(1)).shape == (1,)  # other layers run


@pytest.mark.parametrize('moment', ['before_run', 'before_train'])
def test_before_the_first_step_there_is_nothing_to_save(tmp_path, moment):
    error = interrupt(make_runner(tmp_path, At(moment, 1, tell())))
    assert str(error) == 'received SIGTERM before the first step' and not names(tmp_path)


def test_a_run_that_is_told_while_it_resumes_keeps_what_it_resumes_from(tmp_path):
    interrupt(make_runner(tmp_path, At('before_train_iter', 6, tell())))
    there = names(tmp_path)
    load_from = tmp_path / 'interrupted_iter_6.pth'
    interrupt(make_runner(tmp_path, At('after_load_checkpoint', 1, tell()), load_from=load_from))
    assert names(tmp_path) == there


def test_steps_whose_gradients_are_accumulated_end_together(tmp_path):
    runner = make_runner(tmp_path, At('before_train_iter', 7, tell()))
    runner.optim_wrapper['accumulative_counts'] = 3
    interrupt(runner)
    assert 'interrupted_iter_9.pth' in names(tmp_path)


def test_averaged_weights_stay_apart_from_the_weights(tmp_path):
    """MMEngine's EMAHook validates with the average, and changes the two over to do so."""
    for moment in ('after_train_iter', 5), ('before_val_iter', 2):
        folder = tmp_path / moment[0]
        hooks = EMAHook(momentum=0.5), At(*moment, tell())
        interrupt(make_runner(folder, *hooks, interval=1000))
    one, other = (
        load_checkpoint(tmp_path / name / 'interrupted_iter_5.pth')
        for name in ('after_train_iter', 'before_val_iter')
    )
    for part in 'state_dict', 'ema_state_dict':
        assert_same(one[part], other[part])


def test_a_disk_that_is_full_then_keeps_the_checkpoint_before(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        # No file of this process may grow any more: the system says so as it says of a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))

    hooks = At('before_train_iter', 6, tell()), At('after_train_iter', 6, fill)
    try:
        with pytest.raises(OSError, match='interrupted_iter_6.pth'):
            train(make_runner(tmp_path, *hooks))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == CHECKPOINTS
    assert not list(tmp_path.glob('.*'))


def test_two_at_the_same_time_are_one(tmp_path, monkeypatch):
    """A terminal and torchrun may both send it."""
    monkeypatch.setattr('csnln_mm.mmagic.graceful_shutdown._SAME_WISH', 1.0)

    def tell_twice():
        tell(signal.SIGINT)()
        tell(signal.SIGTERM)()

    assert interrupt(make_runner(tmp_path, At('before_train_iter', 2, tell_twice)))
    assert names(tmp_path) == ['interrupted_iter_2.pth']


def test_once_more_ends_at_once(tmp_path):
    """Also in the midst of what is no Python, where its handlers are not called."""
    (tmp_path / 'multiply.py').write_text("""
import torch
from types import SimpleNamespace
from csnln_mm.mmagic.graceful_shutdown import graceful_shutdown
with graceful_shutdown(SimpleNamespace(register_hook=lambda *args, **kwargs: None)):
    print('ready', flush=True)
    a = torch.rand(3000, 3000)
    torch.linalg.multi_dot([a] * 500)
""")
    process = start_tool(tmp_path, tmp_path / 'multiply.py', [])

    def wait_for(text):
        while not (tmp_path / 'output.txt').exists() or text not in output_of(tmp_path):
            time.sleep(0.02)

    wait_for('ready')
    process.terminate()
    wait_for('once more')
    time.sleep(1.1)
    process.terminate()
    assert end_of(process) == 128 + signal.SIGTERM


def test_nobody_listens_to_standard_error(tmp_path):
    """As in ``csnln train ... 2>&1 | tee log`` after Control-C."""
    read, write = os.pipe()
    os.close(read)
    stderr = os.dup(2)
    os.dup2(write, 2)
    try:
        assert interrupt(make_runner(tmp_path, At('before_train_iter', 2, tell())))
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(write)


def test_an_ignored_signal_stays_ignored(tmp_path):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = make_runner(tmp_path, At('before_train_iter', 2, tell(signal.SIGINT)))
    train(runner)
    assert runner.iter == 12
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_training_in_another_thread_goes_without(tmp_path):
    thread = threading.Thread(target=train, args=[make_runner(tmp_path)])
    thread.start()
    thread.join()
    assert 'iter_12.pth' in names(tmp_path)


def test_dataloader_workers_outlive_a_signal_to_all(tmp_path):
    """As a cluster sends it; torch's own handler would end them, and with them the step."""

    def tell_all():
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGTERM)
        tell()()

    runner = make_runner(tmp_path, At('before_train_iter', 2, tell_all))
    runner._train_dataloader.update(num_workers=1)
    assert interrupt(runner)
    assert names(tmp_path) == ['interrupted_iter_2.pth']
    del runner
