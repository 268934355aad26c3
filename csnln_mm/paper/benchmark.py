"""Time and memory of the attention operators and the network, beside the reference."""

import multiprocessing
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch.utils.benchmark import timer

from csnln_mm.device import select_device
from csnln_mm.errors import UserError
from csnln_mm.paper.benchmark_cases import (
    Case,
    make_workload,
    reference_operators,
    set_memory_like_the_tools,
)
from csnln_mm.tables import format_table

# Nobody waits for nine runs of something that takes a minute: runs end once they took this long,
# but where two sides are compared not before there are some of each.
SECONDS_PER_SIDE = 60
RUNS_TO_COMPARE = 5
# What takes longer than this needs no run before it to warm up.
LONG_RUN = 10

Row = dict[str, Any]


def run_benchmark(
    cases: Iterable[Case],
    *,
    device: str = 'cpu',
    threads: int | None = None,
    runs: int = 9,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Measure cases one after the other.

    The runs of both sides, and of the matrix products alone, take turns, so that all meet the
    same machine. Memory is measured in a process of its own each time.

    Args:
        cases: what to measure.
        device: as torch names it.
        threads: of the computation on the CPU; by default as many as torch takes.
        runs: of each side; once these take a minute together, five are enough, and one where
            there is no other side to compare with.
        progress: called with what was measured, line by line.

    Returns:
        A dict per case, ready for JSON: ``what``, ``side``; ``time``, ``reference`` and
        ``matmul_time``, median seconds; ``runs`` and ``reference_runs``, how many the first two
        are of; ``ratio`` of reference to time and ``to_matmul`` of time to matmul_time;
        ``memory`` and ``reference_memory``, peak in bytes. None where a case has no such number.

    Raises:
        UserError: if ``runs`` or ``threads`` is less than 1, or there is no such device.
    """
    for name, number in dict(runs=runs, threads=threads).items():
        if number is not None and number < 1:
            raise UserError(f'{name} must be at least 1, got {number}')
    select_device(device)
    if threads:
        torch.set_num_threads(threads)
    rows = []
    for case in cases:
        label = f'{case.name}, {case.side}x{case.side}'
        row: Row = dict(what=case.name, side=case.side, **_time(case, torch.device(device), runs))
        progress(f'{label}: {_seconds(row["time"])}, reference {_seconds(row["reference"])}')
        peak = partial(peak_memory, case, device=device, threads=torch.get_num_threads())
        row['memory'] = peak(reference=False)
        row['reference_memory'] = peak(reference=True) if case.reference else None
        progress(
            f'{label}: {_megabytes(row["memory"])}, reference {_megabytes(row["reference_memory"])}'
        )
        rows.append(row)
    return rows


def _time(case: Case, device: torch.device, runs: int) -> Row:
    set_memory_like_the_tools(case)
    workload = make_workload(case, device)
    sides: dict[str, Callable[[], Any]] = dict(time=workload.run)
    if case.reference:
        sides['reference'] = workload.run
    if workload.matrix_products:
        sides['matmul_time'] = workload.matrix_products
    times: dict[str, list[float]] = {side: [] for side in sides}

    def measure(side: str) -> float:
        with reference_operators() if side == 'reference' else nullcontext():
            start = timer()  # which waits for the GPU
            sides[side]()
            return timer() - start

    for side in sides:
        first = measure(side)
        if first > LONG_RUN:
            times[side].append(first)
    least = RUNS_TO_COMPARE if case.reference else 1
    for _ in range(runs):
        for side, measured in times.items():
            in_time = len(measured) < least or sum(measured) < SECONDS_PER_SIDE
            if len(measured) < runs and in_time:
                measured.append(measure(side))

    medians = {side: statistics.median(measured) for side, measured in times.items()}
    time, reference = medians['time'], medians.get('reference')
    matmul_time = medians.get('matmul_time')
    return dict(
        time=time,
        reference=reference,
        matmul_time=matmul_time,
        ratio=reference and reference / time,
        to_matmul=matmul_time and time / matmul_time,
        runs=len(times['time']),
        reference_runs=len(times.get('reference', ())),
    )


def describe_machine(device: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    name = platform.processor() or platform.machine()
    if torch.device(device).type == 'cuda':
        name = torch.cuda.get_device_name(device)
    return dict(device=device, name=name, threads=torch.get_num_threads(), torch=torch.__version__)


def benchmark_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    header = (
        'what',
        'size',
        'time',
        'reference',
        'faster',
        'matrix products',
        'to these',
        'memory',
        'reference',
    )
    return format_table(header, [_cells(row) for row in rows], 'markdown')


def _cells(row: Row) -> Sequence[str]:
    return (
        row['what'],
        f'{row["side"]}x{row["side"]}',
        _seconds(row['time']),
        _seconds(row['reference']),
        _ratio(row['ratio']),
        _seconds(row['matmul_time']),
        _ratio(row['to_matmul']),
        _megabytes(row['memory']),
        _megabytes(row['reference_memory']),
    )


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return '-'
    return f'{seconds:.1f} s' if seconds >= 10 else f'{seconds:.3g} s'


def _ratio(ratio: float | None) -> str:
    return '-' if ratio is None else f'{ratio:.2f}'


def _megabytes(size: int | None) -> str:
    return '-' if size is None else f'{max(0, size) / 1e6:.0f} MB'


def peak_memory(case: Case, reference: bool, device: str, threads: int) -> int:
    """Bytes by which the memory in use rises above its start while a case runs once.

    The start is when the inputs, or the network and its optimiser, are there. For an operator,
    its output and the gradients that it hands out do not count.

    Args:
        case: what to run.
        reference: by the reference implementation.
        device: as torch names it.
        threads: of the computation on the CPU.

    Raises:
        RuntimeError: if the process ends without a result, as when it runs out of memory.
    """
    # A process forked from a server that has imported all this, and done nothing with it.
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['csnln_mm.networks', __name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_case, args=(sender, case, reference, device, threads))
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


def _measure_case(
    sender: Connection, case: Case, reference: bool, device: str, threads: int
) -> None:
    torch.set_num_threads(threads)
    set_memory_like_the_tools(case)
    with reference_operators() if reference else nullcontext():
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
    status = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))
