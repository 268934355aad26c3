"""Measure PSNR and SSIM of a checkpoint on the test sets in data/, or on images of your own.

A checkpoint that csnln train or csnln export wrote, and a model of the package, need no config.

examples:
  csnln test work_dirs/csnln_x2_div2k/best_PSNR_iter_20000.pth --data photos/test
  csnln test csnln-x2-fast --data data/Set5
  csnln test configs/csnln_x4_div2k.py csnln_x4.pth --out metrics.json
  csnln test configs/bicubic_x2.py --save-images images
"""

import argparse
from pathlib import Path

from csnln_mm.cli import arguments
from csnln_mm.errors import UserError
from csnln_mm.shard import Shard, shard_of_array


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = 'config file; or a checkpoint that carries its own, or a model of the package'
    parser.add_argument('config', help=text)
    arguments.add_shared(parser, 'checkpoint')
    parser.add_argument(
        '--data',
        type=Path,
        metavar='DIR',
        help='test on these images instead: test sets with GTmod12 and LRbicxS, as csnln prepare '
        'benchmarks writes them, or ground truths alone, which are then reduced by bicubic',
    )
    arguments.add_shared(parser, '--range', '--bands')
    file = dict(type=arguments.output_file, metavar='FILE')
    parser.add_argument('--out', **file, help='also write the metrics to this file, as JSON')
    parser.add_argument('--per-image', **file, help='the same of the metrics of each image')
    folder = dict(type=arguments.output_folder, metavar='DIR')
    parser.add_argument(
        '--save-images', **folder, help='also write the images, as DIR/SET/NAME.png'
    )
    arguments.add_shared(parser, '--work-dir', '--cfg-options', '--launcher', '--local_rank')
    arguments.add_shared(parser, '--shard', '--verbose')


def run(args: argparse.Namespace) -> None:
    # A config is named by its suffix; anything else is a checkpoint.
    alone = Path(args.config).suffix not in ('.py', '.json', '.yaml', '.yml')
    if alone and args.checkpoint:
        raise UserError(f'{args.config} is no config: a config file ends in .py')
    if not args.data and (args.range or args.bands):
        raise UserError('--range and --bands need --data')
    if args.data and not args.data.is_dir():
        raise UserError(f'--data: {args.data} is not a folder')
    if not args.data and not alone:
        arguments.check_data(args)
    arguments.detect_launcher(args)
    shard = shard_of_array() if args.shard == 'auto' else Shard.parse(args.shard)
    if shard.count > 1:
        print(f'share {shard} of the images, by {shard.origin}; the metrics are those of the share')
    from mmengine.dist import is_main_process

    from csnln_mm.mmagic.config import load_config
    from csnln_mm.mmagic.own_images import config_of_checkpoint, set_test_images
    from csnln_mm.mmagic.runner import build_test_runner
    from csnln_mm.mmagic.terminal import quiet
    from csnln_mm.mmagic.testing import run_test

    if not args.verbose:
        quiet()
    cfg = (config_of_checkpoint if alone else load_config)(
        args.config,
        options=args.cfg_options,
        work_dir=args.work_dir,
        launcher=arguments.launcher(args),
    )
    if args.data:
        set_test_images(cfg, args.data, args.range, args.bands)
    checkpoint = args.config if alone else args.checkpoint
    metrics = run_test(
        build_test_runner(cfg, checkpoint, shard=shard, quiet=not args.verbose),
        out=args.out,
        images=args.save_images,
        per_image=args.per_image,
    )
    if is_main_process():
        for name, value in metrics.items():
            print(f'{name:24}{value:.4f}')
