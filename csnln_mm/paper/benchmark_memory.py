"""Peak memory of a benchmark case, each from a fresh process."""

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from csnln_mm.paper.benchmark_cases import (
    Case,
    direct_formulas,
    make_workload,
    treat_memory_like_the_tools,
)

__all__ = ['peak_memory', 'measure_peak']


def peak_memory(case: Case, direct: bool, device: str, threads: int) -> int:
    """Bytes by which the memory in use rises above its start while a case runs once.

    The start is when the inputs, or the network and its optimiser, are there. For an operator,
    its output and the gradients that it hands out do not count.

    Args:
        case: what to run.
        direct: by the direct formulas.
        device: as torch names it.
        threads: of the computation on the CPU.

    Raises:
        RuntimeError: if the process ends without a result, as when it runs out of memory.
    """
    # A process forked from a server that has imported all this, and done nothing with it.
    method = 'forkserver' if 'forkserver' in multiprocessing.get_all_start_methods() else 'spawn'
    context = multiprocessing.get_context(method)
    if method == 'forkserver':
        context.set_forkserver_preload(['csnln_mm.networks', __name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_case, args=(sender, case, direct, device, threads))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f'{case.name} at {case.side} x {case.side}: the process that measures '
            f'its memory ended with status {process.exitcode}'
        ) from None
    finally:
        receiver.close()
        process.join()


def _measure_case(sender: Connection, case: Case, direct: bool, device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    treat_memory_like_the_tools(case)
    with direct_formulas() if direct else nullcontext():
        # What the libraries set up once is not the case's.
        make_workload(case._replace(side=8, channels=8, recurrences=1), torch.device(device)).run()
        workload = make_workload(case, torch.device(device))
        sender.send(measure_peak(workload.run, torch.device(device)) - workload.result_bytes)


def measure_peak(function: Callable[[], object], device: torch.device) -> int:
    """Bytes by which this process's memory on the device rises while a function runs.

    On CUDA what the allocator hands out, on a CPU the resident set.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - start
    start = _reset_peak_resident()
    function()
    return _peak_resident() - start


def _reset_peak_resident() -> int:
    """Forget the peak so far, where the system can, and return what is resident now."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
        pages = Path('/proc/self/statm').read_text().split()[1]
        return int(pages) * os.sysconf('SC_PAGE_SIZE')
    except OSError:
        return _peak_resident()


def _peak_resident() -> int:
    try:
        status = Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == 'darwin' else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
