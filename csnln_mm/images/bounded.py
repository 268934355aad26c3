"""Work that may take so much time of the processor, and no more."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar('Result')


class TookTooLong(Exception):
    """The work was not done in its time, and goes on in a thread that nobody waits for."""


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
        """What it has computed so far."""
        try:
            return 0.0 if self.clock is None else time.clock_gettime(self.clock)
        except OSError:  # it has just ended
            return 0.0


def run_for(seconds: float, work: Callable[[], Result]) -> Result:
    """Do some work in a thread of its own, for so much time of the processor at most.

    Python cannot end a thread: after its time it is left alone, and ends with the program. Work
    that holds Python's lock all the while cannot be left, and is waited for.

    Raises:
        TookTooLong: if the time is over.
        Exception: what the work raises.
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
