"""Run a command's work in several processes on this machine that report as one."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from csnln_mm.device import cores_here
from csnln_mm.errors import RunInterrupted, UserError

Event = dict[str, Any]
Tell = Callable[[Event], None]
_PR_SET_PDEATHSIG = 1


def run_processes(work: Callable[[int, Tell], Any], count: int, tell: Tell) -> None:
    """Run ``work`` in several processes, each with the environment variables of torchrun.

    The cores are divided among them, unless ``OMP_NUM_THREADS`` is set.

    Args:
        work: called with the number of the process, from 0, and what it reports to, with events as
            those of :mod:`csnln_mm.upscaling.progress`; must be picklable.
        tell: called with the events of all processes, as if they were those of one.

    Raises:
        UserError, OSError: what one of them raised; the others are ended.
        RunInterrupted: if one was killed; the others have done their share.
    """
    context = multiprocessing.get_context('spawn')
    together = _Together(count, tell)
    processes, open_ends = [], {}
    try:
        for index in range(count):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(work, index, count, sender))
            process.start()
            sender.close()  # so that its end is seen
            processes.append(process)
            open_ends[receiver] = index
        while open_ends:
            for receiver in wait(list(open_ends)):
                assert isinstance(receiver, Connection)
                try:
                    event = receiver.recv()
                except EOFError:
                    together.has_ended(open_ends.pop(receiver))
                    continue
                if isinstance(event, Exception):
                    raise event
                together(open_ends[receiver], event)
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
    together.end()
    for number, process in enumerate(processes, start=1):
        status = process.exitcode or 0
        if status > 0:  # it has printed a traceback
            sys.exit(status)
        if status < 0:
            raise RunInterrupted(
                f'process {number} of {count} was ended by {signal.Signals(-status).name}; run the '
                'command again for the images that are missing',
                -status,
            )


def _run(work: Callable[[int, Tell], Any], index: int, count: int, sender: Connection) -> None:
    """Run in one of the processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Control-C is for the first one, which ends this
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, cores_here() // count)))
    for name, number in ('RANK', index), ('WORLD_SIZE', count):
        os.environ[name] = os.environ[f'LOCAL_{name}'] = str(number)
    try:
        work(index, sender.send)
    except (UserError, OSError) as error:
        with contextlib.suppress(OSError):
            sender.send(error)
    except RunInterrupted as error:
        sys.exit(error.status)


class _Together:
    """Merges the events of several processes into those of one."""

    def __init__(self, count: int, tell: Tell) -> None:
        self.tell = tell
        self.starts: list[Event | None] = [None] * count
        self.early: list[tuple[int, Event]] = []
        self.numbers: dict[tuple[int, int], int] = {}
        self.fractions = [0.0] * count
        self.counts = Counter(done=0, skipped=0, failed=0)

    def __call__(self, process: int, event: Event) -> None:
        kind = event['event']
        if kind == 'start':
            self.starts[process] = event
            self._begin()
        elif kind == 'end':
            self.counts.update({name: event[name] for name in self.counts})
        elif None in self.starts:
            self.early.append((process, event))
        else:
            self._pass_on(process, event)

    def has_ended(self, process: int) -> None:
        """Note that a process reports no more, perhaps before it began."""
        if self.starts[process] is None:
            self.starts[process] = dict(event='start', images=0)
            self._begin()

    def end(self) -> None:
        """Report the end of all processes."""
        self.tell(dict(event='end', **self.counts))

    def _begin(self) -> None:
        """Report the start once all processes have started, then earlier events."""
        starts = [start for start in self.starts if start is not None]
        if len(starts) < len(self.starts):
            return
        merged = dict(max(starts, key=len), images=sum(start['images'] for start in starts))
        merged['lossy_model'] = next(filter(None, (s.get('lossy_model') for s in starts)), None)
        self.tell(dict(merged, shard=None, processes=len(starts)))
        for process, event in self.early:
            self._pass_on(process, event)

    def _pass_on(self, process: int, event: Event) -> None:
        if 'number' in event:
            key = process, event['number']
            event['number'] = self.numbers.setdefault(key, len(self.numbers) + 1)
        if 'fraction' in event:
            self.fractions[process] = event['fraction']
            images = [start['images'] for start in self.starts if start is not None]
            parts = zip(self.fractions, images, strict=True)
            event['fraction'] = sum(f * n for f, n in parts) / sum(images)
        self.tell(event)
