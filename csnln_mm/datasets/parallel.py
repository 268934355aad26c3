"""Process many files in parallel."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import TypeVar

import cv2
import torch

from csnln_mm.device import cores_here
from csnln_mm.errors import UserError

Task = TypeVar('Task')


def run_parallel(
    work: Callable[[Task], None], tasks: Sequence[Task], *, processes: int | None = None
) -> list[tuple[Task, str]]:
    """Run all tasks with a progress bar; a failed task does not stop the others.

    Args:
        work: module-level function for one task. Its UserError, OSError or ValueError is a failure
            of the task, any other exception an error of the program.
        tasks: arguments of ``work``.
        processes: by default one per core that this process may use.

    Returns:
        Failed tasks and reasons, in the order of ``tasks``.

    Raises:
        UserError: if a process was killed.
    """
    from rich.progress import MofNCompleteColumn, Progress

    if not tasks:
        return []
    processes = min(len(tasks), processes or cores_here())
    failures = {}
    with (
        Progress(*Progress.get_default_columns()[1:], MofNCompleteColumn()) as progress,
        # Unlike multiprocessing's pool, it does not wait forever for a killed process.
        ProcessPoolExecutor(processes, _context(), initializer=_prepare_process) as pool,
    ):
        bar = progress.add_task('', total=len(tasks))
        futures = {pool.submit(_attempt, work, task): i for i, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                failure = future.result()
                if failure is not None:
                    failures[futures[future]] = failure
                progress.advance(bar)
        except BrokenProcessPool as error:
            raise UserError(
                'a process was killed (out of memory?); run the same command again '
                'with fewer --processes, it resumes where it was'
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [(tasks[i], failures[i]) for i in sorted(failures)]


def _context() -> BaseContext:
    """Start processes without threads, since a fork of one that has used torch may hang."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['csnln_mm.images'])
    return context


def _prepare_process() -> None:
    # The parent handles Ctrl-C, so that this process finishes the file that it writes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _attempt(work: Callable[[Task], None], task: Task) -> str | None:
    try:
        work(task)
    except (UserError, OSError, ValueError) as error:
        return str(error)
    return None
