"""Signals to a training, in this process; test_interrupted_training sends them to real ones."""

import os
import signal
import threading

import pytest

from csnln_mm.mmagic.graceful_shutdown import RunInterrupted, graceful_shutdown

SIGNALS = signal.SIGINT, signal.SIGTERM


@pytest.fixture(autouse=True)
def handlers():
    """What a program has; put back after a test."""
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGCHLD)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Runner:
    """Steps, between which a hook may raise."""

    def __init__(self):
        self.hook = None
        self.steps = 0

    def register_hook(self, hook, priority):
        self.hook = hook

    def train(self, step):
        for _ in range(10):
            self.hook.before_train_iter(self, batch_idx=self.steps, data_batch=None)
            step()
            self.steps += 1


def tell(number):
    signal.raise_signal(number)


@pytest.mark.parametrize(
    'number, error', [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, RunInterrupted)]
)
def test_the_step_in_progress_is_done(number, error, capfd):
    runner = Runner()
    with pytest.raises(error), graceful_shutdown(runner):
        runner.train(lambda: tell(number))
    assert runner.steps == 1
    assert 'ending after this step' in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_validation_ends_too():
    runner = Runner()
    with pytest.raises(RunInterrupted), graceful_shutdown(runner):
        tell(signal.SIGTERM)
        runner.hook.before_val_iter(runner, batch_idx=0, data_batch=None)


@pytest.mark.parametrize('error', [RuntimeError, ConnectionResetError, EOFError])
def test_what_fails_in_the_step_because_others_have_ended_is_not_what_is_told(error):
    """gloo, a socket and a pipe each say it in their own way."""
    runner = Runner()

    def step():
        tell(signal.SIGTERM)
        raise error('by peer')

    with pytest.raises(RunInterrupted) as told, graceful_shutdown(runner):
        runner.train(step)
    assert 'by peer' in str(told.value.__cause__)
    with pytest.raises(error, match='a bug'), graceful_shutdown(runner):
        raise error('a bug')


def test_the_same_wish_twice_is_one():
    """A terminal and torchrun may both send it."""
    runner = Runner()
    with pytest.raises(KeyboardInterrupt), graceful_shutdown(runner):
        runner.train(lambda: [tell(number) for number in SIGNALS])
    assert runner.steps == 1


def test_a_repetition_when_the_training_has_ended_is_still_the_same_wish():
    """torchrun hands on what it was sent, when a process may be done with its step already."""
    repetition = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    runner = Runner()
    with pytest.raises(KeyboardInterrupt), graceful_shutdown(runner):
        repetition.start()
        runner.train(lambda: tell(signal.SIGINT))
    try:
        repetition.join()
    except KeyboardInterrupt:
        pytest.fail('it came through')


def test_the_death_of_loading_processes_raises_nothing_afterwards():

    def raise_at_once(number, frame):
        raise RuntimeError('DataLoader worker exited')

    signal.signal(signal.SIGCHLD, raise_at_once)
    runner = Runner()
    with graceful_shutdown(runner):
        pass
    assert signal.getsignal(signal.SIGCHLD) is raise_at_once
    with pytest.raises(RunInterrupted), graceful_shutdown(runner):
        runner.train(lambda: [tell(signal.SIGTERM), tell(signal.SIGCHLD)])
    tell(signal.SIGCHLD)


def test_nobody_listens_to_standard_error():
    """As in ``python tools/train.py ... 2>&1 | tee log`` after Control-C."""
    read, write = os.pipe()
    os.close(read)
    stderr = os.dup(2)
    os.dup2(write, 2)
    runner = Runner()
    try:
        with pytest.raises(KeyboardInterrupt), graceful_shutdown(runner):
            runner.train(lambda: tell(signal.SIGINT))
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(write)
    assert runner.steps == 1


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = Runner()
    with graceful_shutdown(runner):
        runner.train(lambda: tell(signal.SIGINT))
    assert runner.steps == 10
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_training_in_another_thread_goes_without():
    steps = []

    def train():
        with graceful_shutdown(Runner()):
            steps.append(1)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert steps
