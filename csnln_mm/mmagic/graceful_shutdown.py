"""A training that is told to end does so between two steps."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

__all__ = ['RunInterrupted', 'graceful_shutdown']

_SIGNALS = signal.SIGINT, signal.SIGTERM

# Seconds within which a signal repeats the one before: a terminal and torchrun both tell a job.
_SAME_WISH = 1.0


class RunInterrupted(Exception):
    """A cluster, or torchrun for a job of which a process died, told this one to end."""


@contextmanager
def graceful_shutdown(runner: Runner) -> Iterator[None]:
    """Within, SIGTERM and SIGINT end the training when the step in progress is done.

    An exception at any other moment, as Python raises one for SIGINT, can be lost in a library's
    own handlers, or leave a queue of the dataloader workers locked. Whoever tells it again, more
    than a second later, ends the process at once.

    A signal that the process ignores is still ignored: so a shell keeps Control-C from what it
    runs in the background. In another thread than the main one, which gets no signals, this does
    nothing.

    Args:
        runner: is given a hook, which raises :class:`RunInterrupted` or ``KeyboardInterrupt``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = _Told()
    runner.register_hook(_EndHook(told), priority='HIGHEST')
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # None stands for a handler that Python cannot put back.
    before = {n: handler for n, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, told.by_signal)
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        # What it still did when other processes of the job, or its dataloader workers, had ended.
        told.end(error)
        raise
    finally:
        told.wait_for_repetitions()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Told:
    """Whether a signal came, and which."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.signal: int | None = None
        self.time = 0.0

    def by_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            # A dataloader worker, forked with this handler; its parent sees to its end.
            if number == signal.SIGTERM:
                self._act_at_once(number)
        elif self.signal is None:
            self.signal, self.time = number, time.monotonic()
            # Loading processes are told too, as a rule; torch raises at once when one has ended.
            # A function, since Python complains of a signal that came and has a handler no longer.
            signal.signal(signal.SIGCHLD, _do_nothing)
            with suppress(OSError):  # a pipe, the reader of which was told as well
                # Not print(), in the midst of which the signal may have come.
                os.write(2, b'\nending after this step; once more to end at once\n')
        elif time.monotonic() - self.time > _SAME_WISH:
            self._act_at_once(number)

    def wait_for_repetitions(self) -> None:
        """Leave them time to come while they are still known as such."""
        if self.signal is not None:
            time.sleep(max(0.0, self.time + _SAME_WISH - time.monotonic()))

    def end(self, cause: Exception | None = None) -> None:
        """Raise what ends the training, if a signal came."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt from cause
        if self.signal == signal.SIGTERM:
            raise RunInterrupted from cause

    def _act_at_once(self, number: int) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass


class _EndHook(Hook):
    """Looks before every step of training and validation."""

    def __init__(self, told: _Told) -> None:
        self.told = told

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.told.end()

    def before_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.told.end()
