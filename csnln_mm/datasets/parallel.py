"""The same work on many files, by several processes."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import TypeVar

import cv2
from mmengine.utils import ProgressBar

from csnln_mm.errors import UserError

__all__ = ['for_each', 'report_failures']

Task = TypeVar('Task')


def for_each(
    work: Callable[[Task], None], tasks: Sequence[Task], *, processes: int | None = None
) -> list[tuple[Task, str]]:
    """Do every task, with a progress bar; one that fails does not keep the others.

    Args:
        work: function of a module (it goes to other processes) that does one task. UserError,
            OSError and ValueError are a task's failure, all else is an error of the program.
        tasks: what to call it with.
        processes: as many as this process may use cores by default.

    Returns:
        Failed tasks and why, in the order of ``tasks``.

    Raises:
        UserError: if a process was killed.
    """
    if not tasks:
        return []
    processes = min(len(tasks), processes or len(os.sched_getaffinity(0)))
    failures = {}
    bar = ProgressBar(len(tasks))
    # Not mmengine's track_parallel_progress: it waits forever for a process that was killed.
    with ProcessPoolExecutor(processes, _context(), initializer=_prepare_process) as pool:
        futures = {pool.submit(_attempt, work, task): i for i, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                failure = future.result()
                if failure is not None:
                    failures[futures[future]] = failure
                bar.update()
        except BrokenProcessPool as error:
            raise UserError(
                'a process was killed (out of memory?); run the same command again '
                'with fewer --processes, it goes on where it was'
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            bar.file.write('\n')
    return [(tasks[i], failures[i]) for i in sorted(failures)]


def report_failures(failures: Sequence[tuple[object, str]]) -> int:
    """Print what failed and why.

    Args:
        failures: files and reasons.

    Returns:
        The exit status: 0 if nothing failed, else 1.
    """
    for path, reason in failures:
        # Most reasons name the file.
        where = '' if str(path) in reason else f'{path}: '
        print(f'failed: {where}{reason}', file=sys.stderr)
    if failures:
        print(f'{len(failures)} failed; run again when they are mended', file=sys.stderr)
    return 1 if failures else 0


def _context() -> BaseContext:
    """Processes that inherit no threads: a fork of one that has used torch may wait forever."""
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmagic.datasets.transforms'])
    return context


def _prepare_process() -> None:
    # Ctrl-C is the parent's to handle: a file that is being written is finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _attempt(work: Callable[[Task], None], task: Task) -> str | None:
    try:
        work(task)
    except (UserError, OSError, ValueError) as error:
        return str(error)
    return None
