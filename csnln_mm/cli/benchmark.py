"""``csnln benchmark``: time and memory of the attention operators and of the network."""

import argparse
import json
import sys

from csnln_mm.cli import arguments

HELP = """\
Measure time and memory of the attention operators and the network, beside the reference
implementation.

Memory is the peak above the start, measured in a process for each; the output and gradients of an
operator do not count. "matrix products" is the time of these alone, a lower bound for both
the reference's result and its gradients.

example: csnln benchmark --quick --json figures.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--quick', action='store_true', help='fewer and smaller cases')
    parser.add_argument(
        '--only', nargs='+', choices=['cross-scale', 'in-scale', 'network'], help='default: all'
    )
    parser.add_argument('--device', default='cpu', help='cuda, for example (default: cpu)')
    parser.add_argument('--threads', type=int, help='on the CPU (default: torch decides)')
    parser.add_argument(
        '--runs', type=int, default=9, help='how many runs to take the median of (default: 9)'
    )
    parser.add_argument(
        '--json',
        type=arguments.output_file,
        metavar='FILE',
        help='also write the figures to this file',
    )


def run(args: argparse.Namespace) -> None:
    from csnln_mm.files import atomic_write
    from csnln_mm.paper.benchmark import benchmark_table, describe_machine, run_benchmark
    from csnln_mm.paper.benchmark_cases import FULL, QUICK

    cases = QUICK if args.quick else FULL
    rows = run_benchmark(
        [case for case in cases if not args.only or case.what in args.only],
        device=args.device,
        threads=args.threads,
        runs=args.runs,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    machine = describe_machine(args.device)
    print(', '.join(f'{key} {value}' for key, value in machine.items()))
    print(benchmark_table(rows))
    if args.json:
        figures = json.dumps(dict(machine=machine, rows=rows), indent=2)
        atomic_write(args.json, f'{figures}\n'.encode())
