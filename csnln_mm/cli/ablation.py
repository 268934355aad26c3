"""Train and test the variants of the paper's Table 3, 4 or 5, and print the table.

The default is the paper's budget: 200 epochs on DIV2K for each variant. After an interruption, run
it again with the same options: finished variants are kept, the interrupted one resumes.

example of a small budget:
  csnln ablation 3 --train-data data/BSD400 --max-iters 400 --channels 16 \\
      --recurrences 2 --batch-size 8 --cfg-options model.generator.image_skip=True
"""

import argparse
from pathlib import Path

from csnln_mm.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = '3: branches of the cell, 4: patch size, 5: fusion'
    parser.add_argument('table', type=int, choices=(3, 4, 5), help=text)
    parser.add_argument(
        '--work-dir', type=Path, help='with a folder for each variant (default: work_dirs/ablation)'
    )
    parser.add_argument(
        '--variants', nargs='+', metavar='NAME', help='names of configs (default: all of the table)'
    )
    parser.add_argument(
        '--max-iters', type=int, metavar='N', help="training steps (default: the paper's)"
    )
    parser.add_argument('--channels', type=int, metavar='C', help='default: 128')
    parser.add_argument('--recurrences', type=int, metavar='N', help='default: 12')
    parser.add_argument('--batch-size', type=int, metavar='N', help='samples per step')
    parser.add_argument('--patch-size', type=int, metavar='N', help='side of LR patches in pixels')
    text = 'made by csnln prepare div2k or benchmarks (default: %(default)s)'
    parser.add_argument('--train-data', default='data/DIV2K', metavar='DIR', help=text)
    text = 'made by csnln prepare benchmarks (default: %(default)s)'
    parser.add_argument('--test-data', default='data/Set14', metavar='DIR', help=text)
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    arguments.add_shared(parser, '--format')
    file = dict(type=arguments.output_file, metavar='FILE')
    parser.add_argument('--out', **file, help='also write the table to this file')
    text = 'further settings of all variants, e.g. optim_wrapper.optimizer.lr=1e-3'
    arguments.add_shared(parser, '--cfg-options', help=text)


def run(args: argparse.Namespace) -> None:
    from csnln_mm.files import atomic_write
    from csnln_mm.paper.ablation import Budget, ablation_table, run_ablation

    budget = Budget(*(getattr(args, name) for name in Budget._fields))
    work_dir = args.work_dir or Path('work_dirs') / 'ablation'
    results = run_ablation(args.table, budget, work_dir, variants=args.variants)
    text = ablation_table(args.table, results, budget, args.format)
    if args.out:
        atomic_write(args.out, f'{text}\n'.encode())
    print(text)
