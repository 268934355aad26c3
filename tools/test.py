#!/usr/bin/env python
"""Test a checkpoint on the test sets of a config."""

import argparse

from csnln_mm.cli import arguments as cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file, e.g. configs/csnln_x2_div2k.py')
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file (.pth); not for configs without weights'
    )
    parser.add_argument(
        '--out',
        type=cli.output_file,
        metavar='FILE',
        help='also write the metrics to this file, as JSON',
    )
    parser.add_argument(
        '--save-images',
        type=cli.output_folder,
        metavar='DIR',
        help='also write the pictures, as DIR/SET/NAME.png',
    )
    parser.add_argument(
        '--per-image',
        type=cli.output_file,
        metavar='FILE',
        help='also write the metrics of each image to this file, as JSON',
    )
    cli.add_config_options(parser)
    cli.add_launcher_options(parser)
    args = parser.parse_args()

    from csnln_mm.mmagic.runner import build_test_runner, load_config
    from csnln_mm.mmagic.testing import run_test

    cfg = load_config(
        args.config, options=args.cfg_options, work_dir=args.work_dir, launcher=cli.launcher(args)
    )
    run_test(
        build_test_runner(cfg, args.checkpoint),
        out=args.out,
        images=args.save_images,
        per_image=args.per_image,
    )


if __name__ == '__main__':
    cli.run(main)
