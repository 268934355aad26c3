"""``csnln test``: test a checkpoint on the test sets of a config."""

import argparse

from csnln_mm.cli import arguments

HELP = """\
Measure PSNR and SSIM of a checkpoint on the test sets of a config.

examples:
  csnln test configs/csnln_x4_div2k.py csnln_x4.pth --out metrics.json
  csnln test configs/bicubic_x2.py --save-images images"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_shared(parser, 'config', 'checkpoint')
    parser.add_argument(
        '--out',
        type=arguments.output_file,
        metavar='FILE',
        help='also write the metrics to this file, as JSON',
    )
    parser.add_argument(
        '--save-images',
        type=arguments.output_folder,
        metavar='DIR',
        help='also write the images, as DIR/SET/NAME.png',
    )
    parser.add_argument(
        '--per-image',
        type=arguments.output_file,
        metavar='FILE',
        help='also write the metrics of each image to this file, as JSON',
    )
    arguments.add_config_options(parser)
    arguments.add_launcher_options(parser)


def run(args: argparse.Namespace) -> None:
    from csnln_mm.mmagic.config import load_config
    from csnln_mm.mmagic.runner import build_test_runner
    from csnln_mm.mmagic.testing import run_test

    cfg = load_config(
        args.config,
        options=args.cfg_options,
        work_dir=args.work_dir,
        launcher=arguments.launcher(args),
    )
    run_test(
        build_test_runner(cfg, args.checkpoint),
        out=args.out,
        images=args.save_images,
        per_image=args.per_image,
    )
