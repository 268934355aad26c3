"""Time and memory of the attention operators and the network, beside the direct formulas."""

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from csnln_mm.device import select_device
from csnln_mm.errors import UserError
from csnln_mm.paper.benchmark_cases import (
    FULL,
    QUICK,
    Case,
    direct_formulas,
    make_workload,
    treat_memory_like_the_tools,
)
from csnln_mm.paper.benchmark_memory import peak_memory

__all__ = ['FULL', 'QUICK', 'Case', 'benchmark', 'describe_machine', 'format_table']

# Nobody waits for nine runs of something that takes a minute: runs end once they took this long,
# but where two sides are compared not before there are some of each.
SECONDS_PER_SIDE = 60
RUNS_TO_COMPARE = 5
# What takes longer than this needs no run before it to warm up.
LONG_RUN = 10

Row = dict[str, Any]


def benchmark(
    cases: Iterable[Case],
    *,
    device: str = 'cpu',
    threads: int | None = None,
    runs: int = 9,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Measure cases one after the other.

    The runs of both sides, and of the matrix products alone, take turns, so that all meet the
    same machine. Each memory figure is from a process of its own.

    Args:
        cases: what to measure.
        device: as torch names it.
        threads: of the computation on the CPU; by default as many as torch takes.
        runs: of each side; once these take a minute together, five are enough, and one where
            there is no other side to compare with.
        progress: told what was measured, line by line.

    Returns:
        A dict per case, ready for JSON: ``what``, ``side``; ``fast``, ``direct`` and
        ``products``, median seconds; ``runs`` and ``direct_runs``, how many the first two are of;
        ``ratio`` of direct to fast and ``to_products`` of fast to products; ``memory`` and
        ``direct_memory``, peak in bytes.
        None where a case leaves something out.

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
        progress(f'{label}: {_seconds(row["fast"])}, direct {_seconds(row["direct"])}')
        for key, direct in (('memory', False), ('direct_memory', True)):
            wanted = case.direct or not direct
            row[key] = (
                peak_memory(case, direct, device, torch.get_num_threads()) if wanted else None
            )
        progress(f'{label}: {_megabytes(row["memory"])}, direct {_megabytes(row["direct_memory"])}')
        rows.append(row)
    return rows


def _time(case: Case, device: torch.device, runs: int) -> Row:
    treat_memory_like_the_tools(case)
    workload = make_workload(case, device)
    sides: dict[str, Callable[[], Any]] = dict(fast=workload.run)
    if case.direct:
        sides['direct'] = workload.run
    if workload.matrix_products:
        sides['products'] = workload.matrix_products
    times: dict[str, list[float]] = {side: [] for side in sides}

    def measure(side: str) -> float:
        with direct_formulas() if side == 'direct' else nullcontext():
            return _seconds_of(sides[side], device)

    for side in sides:
        first = measure(side)
        if first > LONG_RUN:
            times[side].append(first)
    least = RUNS_TO_COMPARE if case.direct else 1
    for _ in range(runs):
        for side, measured in times.items():
            in_time = len(measured) < least or sum(measured) < SECONDS_PER_SIDE
            if len(measured) < runs and in_time:
                measured.append(measure(side))

    medians = {side: statistics.median(measured) for side, measured in times.items()}
    fast, direct, products = (medians.get(side) for side in ('fast', 'direct', 'products'))
    return dict(
        fast=fast,
        direct=direct,
        products=products,
        ratio=direct and direct / fast,
        to_products=products and fast / products,
        runs=len(times['fast']),
        direct_runs=len(times.get('direct', ())),
    )


def _seconds_of(function: Callable[[], Any], device: torch.device) -> float:
    if device.type != 'cuda':
        start = time.perf_counter()
        function()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    start.record()
    function()
    end.record()
    torch.cuda.synchronize(device)
    return start.elapsed_time(end) / 1000


def describe_machine(device: str) -> dict[str, Any]:
    """What a figure was measured on."""
    name = platform.processor() or platform.machine()
    if torch.device(device).type == 'cuda':
        name = torch.cuda.get_device_name(device)
    return dict(device=device, name=name, threads=torch.get_num_threads(), torch=torch.__version__)


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    head = (
        'what',
        'size',
        'time',
        'direct',
        'faster',
        'matrix products',
        'to these',
        'memory',
        'direct',
    )
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    rule = ['-' * width for width in widths]
    return '\n'.join(
        '| ' + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths)) + ' |'
        for line in (lines[0], rule, *lines[1:])
    )


def _cells(row: Row) -> Sequence[str]:
    return (
        row['what'],
        f'{row["side"]}x{row["side"]}',
        _seconds(row['fast']),
        _seconds(row['direct']),
        _ratio(row['ratio']),
        _seconds(row['products']),
        _ratio(row['to_products']),
        _megabytes(row['memory']),
        _megabytes(row['direct_memory']),
    )


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return '-'
    return f'{seconds:.1f} s' if seconds >= 10 else f'{seconds:.3g} s'


def _ratio(ratio: float | None) -> str:
    return '-' if ratio is None else f'{ratio:.2f}'


def _megabytes(size: int | None) -> str:
    return '-' if size is None else f'{max(0, size) / 1e6:.0f} MB'
