"""Exceptions: errors that the user can fix, and runs that a signal ended."""

import os
import signal as signals
import traceback


class UserError(Exception):
    """An error in the input, the files or the settings that the user can fix.

    Commands print the message without a traceback.

    Args:
        message: what is wrong, where, and what to do, in one line; empty in processes of a job
            whose main process prints it.
    """

    def __init__(self, message: str) -> None:
        # A dataloader worker passes on the text of its traceback, which ends with the message.
        super().__init__(str(message).rpartition(f'{__name__}.UserError: ')[2].rstrip())


class RunInterrupted(Exception):
    """A signal ended a run between two steps.

    Args:
        message: one line; empty in processes of a job whose main process prints it.
        signal: number of the signal.

    Attributes:
        status: exit status of the process, 128 plus the number, as in a shell.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signals.Signals(signal)
        self.status = 128 + signal


def wants_traceback() -> bool:
    """Whether the environment asks for tracebacks: ``CSNLN_TRACEBACK=1``."""
    return os.environ.get('CSNLN_TRACEBACK', '0') not in ('', '0')


def one_line(error: Exception) -> str:
    """The text of an error in one line, or its type if it has none."""
    return ' '.join(str(error).split()) or type(error).__name__


def failure_line(source: object, reason: str) -> str:
    """Say that a file failed and why, naming it once: most reasons do."""
    where = '' if str(source) in reason else f'{source}: '
    return f'failed: {where}{reason}'


def failure_reason(error: Exception) -> str:
    """Say in one line why a file failed; unexpected errors are named by their type."""
    if isinstance(error, UserError):
        return str(error)
    if wants_traceback():
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        return 'not enough memory'
    return f'{type(error).__name__}: {" ".join(str(error).split()):.300}'
