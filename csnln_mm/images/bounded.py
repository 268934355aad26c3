"""Run work with a limit on its CPU time."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar('Result')


class TookTooLong(Exception):
    """The work exceeded its time; it continues in a thread that nobody waits for."""


class _Work(threading.Thread, Generic[Result]):
    def __init__(self, work: Callable[[], Result]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.clock: int | None = None
        self.result: list[Result] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        if hasattr(time, 'pthread_getcpuclockid'):
            self.clock = time.pthread_getcpuclockid(threading.get_ident())
        try:
            self.result.append(self._work())
        except BaseException as error:
            self.error = error

    def seconds(self) -> float:
        """The CPU time used so far."""
        try:
            return 0.0 if self.clock is None else time.clock_gettime(self.clock)
        except OSError:  # it has just ended
            return 0.0


def run_for(seconds: float, work: Callable[[], Result]) -> Result:
    """Run a function in a thread of its own, with at most this much CPU time.

    Python cannot end a thread: one that exceeds its time is left alone, and ends with the program.
    A function that never releases the GIL cannot be left; it is waited for.

    Raises:
        TookTooLong: if it takes longer.
        Exception: what the function raises.
    """
    thread = _Work(work)
    thread.start()
    left = seconds
    while True:
        thread.join(max(left, 0.05))
        if not thread.is_alive():
            break
        left = seconds - thread.seconds()
        if left <= 0:
            raise TookTooLong
    if thread.error is not None:
        raise thread.error
    return thread.result[0]
