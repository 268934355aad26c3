"""Errors that the user can fix, and the end of a run that received a signal."""

import os
import signal as signals
import traceback


class UserError(Exception):
    """Something in the input, files or settings is wrong; the message says what, where, and how.

    The tools print the message alone, without a traceback.

    Args:
        message: one line; empty in a process of several whose main process tells it.
    """

    def __init__(self, message: str) -> None:
        # A dataloader worker hands on the text of its traceback, which ends with the message.
        super().__init__(str(message).rpartition(f'{__name__}.UserError: ')[2].rstrip())


class RunInterrupted(Exception):
    """A signal ended a run between two steps.

    Args:
        message: one line; empty in a process of several whose main process tells it.
        signal: which.

    Attributes:
        status: that of the process: 128 + the signal's number, as a shell has it.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signals.Signals(signal)
        self.status = 128 + signal


def wants_traceback() -> bool:
    """Whether the environment asks for tracebacks: ``CSNLN_TRACEBACK=1``."""
    return os.environ.get('CSNLN_TRACEBACK', '0') not in ('', '0')


def failure_reason(error: Exception) -> str:
    """Why one of several files failed, in one line: an unexpected error with its type."""
    if isinstance(error, UserError):
        return str(error)
    if wants_traceback():
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        return 'not enough memory'
    return f'{type(error).__name__}: {" ".join(str(error).split()):.300}'
