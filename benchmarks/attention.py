"""Measure time and memory of the attention operators and of the network, beside the paper's form.

    python benchmarks/attention.py --quick
    python benchmarks/attention.py --json figures.json
    python benchmarks/attention.py --only network --profile

"Reference" is the paper's Eq. 4 by convolutions with patches, as in the released code, and in-scale
attention by plain matrix products; both build the whole matrix. For lines that end with "torch's",
it is torch's own attention. Times are medians, and the runs of
both sides take turns, so that they meet the same machine. Memory is the peak above the start, in a
process for each; the output and gradients of an operator do not count.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.benchmark import Measurement, Timer

from csnln_mm import ops
from csnln_mm.device import select_device, set_malloc_thresholds
from csnln_mm.networks import CSNLNNet
from csnln_mm.paper.model_size import operators_replaced
from csnln_mm.tables import format_table

sys.path.append(str(Path(__file__).parents[1] / 'tests/helpers'))
from convolutional_attention import convolutional_attention  # noqa: E402

_ROUNDS, _SECONDS = 3, 1.0


class Case(NamedTuple):
    """A line of the table; ``scale`` is 1 for in-scale attention, ``training`` a forward and a
    backward pass, or a step of the network, ``reference`` whether that is measured as well,
    ``compact`` a network without attention, ``torch`` whether the reference is torch's own
    attention, and ``gain`` a factor on queries and keys: the larger, the more selective."""

    what: str
    side: int
    scale: int = 1
    training: bool = False
    reference: bool = True
    with_cp: bool = False
    channels: int = 128
    recurrences: int = 12
    compact: bool = False
    torch: bool = False
    gain: float = 1.0

    @property
    def name(self) -> str:
        scale = f' x{self.scale}' if self.scale > 1 else ''
        if self.what == 'network':
            passes = 'training step' if self.training else 'inference'
            with_cp = ', with_cp' if self.with_cp else ''
            compact = ', local branch alone' if self.compact else ''
            return f'network{scale}{compact}, depth {self.recurrences}, {passes}{with_cp}'
        passes = 'with backward' if self.training else 'forward'
        beside = ", torch's" if self.torch else ''
        return f'{self.what} attention{scale}, {passes}{beside}'


QUICK = [
    *(Case('cross-scale', 48, 2, training) for training in (False, True)),
    Case('cross-scale', 96, 2),
    *(Case('in-scale', 48, 1, training) for training in (False, True)),
    *(Case('network', 24, 4, training, recurrences=2) for training in (False, True)),
]
FULL = [
    *(
        Case(what, side, scale, training, side < 128)
        for what, side, scale in (
            *(('cross-scale', side, 2) for side in (48, 96, 128, 256)),
            ('cross-scale', 48, 3),
            *(('in-scale', side, 1) for side in (24, 48, 96)),
        )
        for training in (False, True)
    ),
    *(
        Case('in-scale', side, 1, training, torch=True)
        for side in (24, 48, 96, 192)
        for training in (False, True)
    ),
    *(Case('network', 48, scale, training) for scale in (2, 3, 4) for training in (False, True)),
    Case('network', 48, 4, training=True, reference=False, with_cp=True),
    Case('network', 96, 4, reference=False),
    # csnln-x2-fast, on as many pixels as it is trained on
    *(
        Case('network', 96, 2, training, False, channels=48, recurrences=4, compact=True)
        for training in (False, True)
    ),
]


def reference_operators(case: Case) -> Any:
    """Let everything that calls the attention operators get the reference."""
    in_scale = torch_attention if case.torch else ops.in_scale_attention_reference
    return operators_replaced(convolutional_attention, in_scale)


def torch_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """In-scale attention by torch's own function.

    Zeros make queries and keys as wide as values, since only then it does not make the matrix.
    """
    size, missing = query.shape[2:], value.shape[1] - query.shape[1]
    maps = (*(F.pad(x, (0, 0, 0, 0, 0, missing)) for x in (query, key)), value)
    flat = (x.flatten(2).transpose(1, 2).unsqueeze(1).contiguous() for x in maps)
    out = F.scaled_dot_product_attention(*flat, scale=1.0)
    return out.squeeze(1).transpose(1, 2).unflatten(2, size)


def prepare(case: Case, device: torch.device) -> tuple[Callable[[], Any], int]:
    """Make what runs a case, always with the same numbers, and count the bytes of its results."""
    torch.manual_seed(0)
    # As in a training or test of this network.
    set_malloc_thresholds(mmap=4) if case.with_cp else set_malloc_thresholds(mmap=None, trim=2047)
    return (_network if case.what == 'network' else _operator)(case, device)


def _operator(case: Case, device: torch.device) -> tuple[Callable[[], Any], int]:
    side, small, channels = case.side, -(-case.side // case.scale), case.channels
    inputs = [
        (gain * torch.randn(1, c, s, s, device=device)).requires_grad_(case.training)
        for c, s, gain in (
            (channels // 2, side, case.gain),
            (channels // 2, small, case.gain),
            (channels, side, 1),
        )
    ]
    grad = torch.randn(1, channels, case.scale * side, case.scale * side, device=device)
    options = dict(scale=case.scale) if case.what == 'cross-scale' else {}

    def run() -> tuple[Tensor, ...]:
        name = f'{case.what.replace("-", "_")}_attention'
        with nullcontext() if case.training else torch.no_grad():
            out = getattr(ops, name)(*inputs, **options)
        return torch.autograd.grad(out, inputs, grad) if case.training else (out,)

    results = [grad, *(inputs if case.training else ())]
    return run, sum(x.numel() * x.element_size() for x in results)


def _network(case: Case, device: torch.device) -> tuple[Callable[[], Any], int]:
    net = CSNLNNet(
        upscale_factor=case.scale,
        mid_channels=case.channels,
        num_recurrences=case.recurrences,
        with_cp=case.with_cp,
        **dict(image_skip=True, cell=dict(branches=('local',))) if case.compact else {},
    )
    net.to(device).train(case.training)
    lr, hr = (torch.rand(1, 3, s, s, device=device) for s in (case.side, case.scale * case.side))
    optimizer = torch.optim.Adam(net.parameters())

    def run() -> tuple[Tensor]:
        if not case.training:
            with torch.no_grad():
                return (net(lr),)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.l1_loss(net(lr), hr)
        loss.backward()
        optimizer.step()
        return (loss.detach(),)

    return run, 0


def measure(case: Case, device: str = 'cpu', rounds: int = _ROUNDS) -> dict[str, Any]:
    """Measure a case: seconds and bytes of both sides, None where there is no reference."""
    run, _ = prepare(case, torch.device(device))
    sides = dict(
        fast=nullcontext,
        **(dict(reference=lambda: reference_operators(case)) if case.reference else {}),
    )
    times: dict[str, list[Measurement]] = {side: [] for side in sides}
    timer = Timer('run()', globals=dict(run=run), num_threads=torch.get_num_threads())
    for _ in range(rounds):
        for side, operators in sides.items():
            with operators():
                times[side].append(timer.blocked_autorange(min_run_time=_SECONDS))
    row: dict[str, Any] = dict(
        what=case.name, side=case.side, reference=None, reference_memory=None
    )
    for side, measured in times.items():
        (merged,) = Measurement.merge(measured)
        memory = 'memory' if side == 'fast' else 'reference_memory'
        row['time' if side == 'fast' else side] = merged.median
        row[memory] = peak_memory(case, device, side == 'reference')
    return row


def peak_memory(case: Case, device: str, reference: bool) -> int:
    """Measure by how many bytes memory rises while a case runs once, in a process of its own."""
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    words = sender, case, device, reference, torch.get_num_threads()
    process = context.Process(target=_send_peak, args=words)
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f'{case.name}: its process ended with {process.exitcode}') from None
    finally:
        process.join()


def _send_peak(sender: Connection, case: Case, device: str, reference: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    with reference_operators(case) if reference else nullcontext():
        # What the libraries set up once is not the case's.
        prepare(case._replace(side=8, channels=8, recurrences=1), torch.device(device))[0]()
        run, result_bytes = prepare(case, torch.device(device))
        sender.send(max(0, rise(run, torch.device(device)) - result_bytes))


def rise(function: Callable[[], Any], device: torch.device) -> int:
    """Measure by how many bytes this process's peak exceeds its memory before a function runs.

    On CUDA what the allocator hands out, on a CPU the resident set.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        function()
        return torch.cuda.max_memory_allocated(device) - start
    Path('/proc/self/clear_refs').write_text('5')  # forgets the peak so far
    start = int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    function()
    status = Path('/proc/self/status').read_text().splitlines()
    return next(int(x.split()[1]) * 1024 for x in status if x.startswith('VmHWM')) - start


def profile(case: Case, device: str = 'cpu', shares: int = 8) -> str:
    """Tell which share of a case's time each of torch's operators takes itself."""
    function, _ = prepare(case, torch.device(device))
    function()
    with torch.profiler.profile() as profiler:
        function()
    events = sorted(profiler.key_averages(), key=lambda x: -x.self_cpu_time_total)[:shares]
    whole = sum(event.self_cpu_time_total for event in profiler.key_averages())
    lines = (f'{e.self_cpu_time_total / whole:6.1%}  {e.key}, {e.count} calls' for e in events)
    return '\n'.join([f'{case.name}, {case.side}x{case.side}', *lines])


def cells(row: dict[str, Any]) -> list[str]:
    """Show a row."""
    time, reference = row['time'], row['reference']
    seconds = ['' if x is None else f'{x:.3g} s' for x in (time, reference)]
    memory = ['' if row[x] is None else f'{row[x] / 1e6:,.0f} MB' for x in _MEMORY]
    faster = f'{reference / time:.2f}' if reference else ''
    return [row['what'], f'{row["side"]}x{row["side"]}', *seconds, faster, *memory]


_MEMORY = 'memory', 'reference_memory'
_HEADER = 'what', 'size', 'time', 'reference', 'faster', 'memory', 'reference'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help='fewer and smaller cases')
    parser.add_argument('--only', nargs='+', choices=['cross-scale', 'in-scale', 'network'])
    parser.add_argument('--gain', type=float, default=1.0, help='on the queries and keys')
    parser.add_argument('--device', default='cpu', help='cuda, for example (default: cpu)')
    parser.add_argument('--threads', type=int, help='on the CPU (default: torch decides)')
    parser.add_argument('--profile', action='store_true', help='shares of operators, no times')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the figures there')
    args = parser.parse_args()
    name = str(select_device(args.device))
    if args.threads:
        torch.set_num_threads(args.threads)
    machine = dict(
        device=torch.cuda.get_device_name(name) if name.startswith('cuda') else platform.machine(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
    cases = [
        case._replace(gain=args.gain)
        for case in (QUICK if args.quick else FULL)
        if not args.only or case.what in args.only
    ]
    if args.profile:
        for case in cases:
            print(profile(case, name))
        return
    rows = []
    for number, case in enumerate(cases, start=1):
        print(f'{number} of {len(cases)}: {case.name}', file=sys.stderr, flush=True)
        rows.append(measure(case, name))
    print(', '.join(f'{key} {value}' for key, value in machine.items()))
    print(format_table(_HEADER, [cells(row) for row in rows], 'markdown'))
    if args.json:
        args.json.write_text(json.dumps(dict(machine=machine, rows=rows), indent=2) + '\n')


if __name__ == '__main__':
    main()
