#!/usr/bin/env python
"""Time and memory of the attention operators and of the network, beside the direct formulas.

Memory is the peak above the start, each from a process of its own; an operator's output and
gradients do not count. "matrix products" is the time of these alone, below which neither the
direct formula's result nor its gradients can be had.
"""

import argparse
import json
import sys

from csnln_mm.cli import arguments as cli


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help='fewer and smaller cases')
    parser.add_argument(
        '--only',
        nargs='+',
        choices=['cross-scale', 'in-scale', 'network'],
        help='measure these; by default all',
    )
    parser.add_argument('--device', default='cpu', help='e.g. cuda; default: cpu')
    parser.add_argument('--threads', type=int, help='on the CPU; default: as torch chooses')
    parser.add_argument('--runs', type=int, default=9, help='the median of so many; default: 9')
    parser.add_argument(
        '--json', type=cli.output_file, metavar='FILE', help='write the figures there too'
    )
    args = parser.parse_args()

    from csnln_mm.files import atomic_write
    from csnln_mm.paper import benchmark

    cases = benchmark.QUICK if args.quick else benchmark.FULL
    rows = benchmark.benchmark(
        [case for case in cases if not args.only or case.what in args.only],
        device=args.device,
        threads=args.threads,
        runs=args.runs,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    machine = benchmark.describe_machine(args.device)
    print(', '.join(f'{key} {value}' for key, value in machine.items()))
    print(benchmark.format_table(rows))
    if args.json:
        atomic_write(
            args.json, (json.dumps(dict(machine=machine, rows=rows), indent=2) + '\n').encode()
        )


if __name__ == '__main__':
    cli.run(main)
