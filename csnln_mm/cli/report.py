"""Print results beside the paper's.

Tests a checkpoint on the benchmarks in data/, or reads what csnln test --out wrote, and prints the
result below the paper's Table 1 for that scale. With --model-size: parameters and multiply-adds
beside Table 2.

examples:
  csnln report configs/csnln_x2_div2k.py csnln_x2.pth --format markdown
  csnln report configs/bicubic_x2.py
  csnln report configs/csnln_x4_div2k.py --model-size 48 48
"""

import argparse
from pathlib import Path
from typing import Any

from csnln_mm.cli import arguments
from csnln_mm.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_shared(parser, 'config', '--format')
    source = parser.add_mutually_exclusive_group()
    arguments.add_shared(source, 'checkpoint')
    source.add_argument('--results', metavar='FILE', help='use metrics that csnln test --out wrote')
    text = 'print parameters, and multiply-adds for an LR image of H x W pixels'
    source.add_argument('--model-size', nargs=2, type=int, metavar=('H', 'W'), help=text)
    parser.add_argument('--name', help='name of the row (default: that of the file)')
    parser.add_argument(
        '--out', type=arguments.output_file, metavar='FILE', help='write the table to this file'
    )
    arguments.add_shared(parser, '--work-dir', '--cfg-options')


def run(args: argparse.Namespace) -> None:
    if not args.results and not args.model_size:
        arguments.check_data(args)
    from csnln_mm.files import atomic_write
    from csnln_mm.mmagic.config import load_config

    cfg = load_config(args.config, options=args.cfg_options, work_dir=args.work_dir)
    name = args.name or Path(args.checkpoint or args.results or args.config).stem
    text = _model_size(cfg, name, args) if args.model_size else _benchmarks(cfg, name, args)
    if args.out:
        atomic_write(args.out, f'{text}\n'.encode())
    else:
        print(text)


def _benchmarks(cfg: Any, name: str, args: argparse.Namespace) -> str:
    from csnln_mm.mmagic.own_images import find_scale
    from csnln_mm.mmagic.runner import build_test_runner
    from csnln_mm.mmagic.testing import run_test
    from csnln_mm.paper.published import BENCHMARKS, TABLE_1, published
    from csnln_mm.paper.results import Result, read_scores, results_table, scores_by_set

    scale = find_scale(cfg)
    if scale not in (2, 3, 4):
        raise UserError(f'the config has model.generator.upscale_factor={scale}, not 2, 3 or 4')
    if args.results:
        scores = read_scores(args.results)
    else:
        # No need for MMagic's images of input, result and ground truth.
        cfg.custom_hooks = [
            hook for hook in cfg.get('custom_hooks', []) if hook.type != 'BasicVisualizationHook'
        ]
        scores = scores_by_set(run_test(build_test_runner(cfg, args.checkpoint, quiet=True)))
    rows = [*published(scale, TABLE_1), Result(name, scores)]
    return results_table(f'x{scale}, PSNR / SSIM', BENCHMARKS, rows, args.format)


def _model_size(cfg: Any, name: str, args: argparse.Namespace) -> str:
    from csnln_mm.mmagic.check_config import build_parts
    from csnln_mm.paper.model_size import model_size, model_size_table

    network = getattr(build_parts(cfg), 'generator', None)
    if network is None:
        raise UserError(f'config {cfg.filename}: the model has no generator')
    return model_size_table(name, model_size(network, tuple(args.model_size)), args.format)
