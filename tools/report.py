#!/usr/bin/env python
"""Print results beside the paper's.

Tests a checkpoint on the benchmarks that are there, or reads what
tools/test.py --out wrote, and prints it under the paper's Table 1 for that
scale. With --model-size: parameters and multiply-adds beside Table 2.
"""

import argparse
from pathlib import Path

from csnln_mm.cli import arguments as cli
from csnln_mm.paper.report_format import FORMATS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n'
        '  tools/report.py configs/csnln_x2_div2k.py csnln_x2.pth --format markdown\n'
        '  tools/report.py configs/bicubic_x2.py\n'
        '  tools/report.py configs/csnln_x4_div2k.py --model-size 48 48',
    )
    parser.add_argument('config', help='config file, e.g. configs/csnln_x2_div2k.py')
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file (.pth); none for a model without weights'
    )
    parser.add_argument(
        '--results', metavar='FILE', help='metrics that tools/test.py --out wrote, not to test'
    )
    parser.add_argument(
        '--model-size',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='print parameters, and multiply-adds for an LR image of H x W pixels, instead',
    )
    parser.add_argument('--name', help='name of the row; by default that of the file')
    parser.add_argument('--format', choices=FORMATS, default='text')
    parser.add_argument(
        '--out',
        type=cli.output_file,
        metavar='FILE',
        help='write the table there, not after the log',
    )
    parser.add_argument(
        '--per-image',
        type=cli.output_file,
        metavar='FILE',
        help='write the metrics of every image to this file, as JSON',
    )
    parser.add_argument(
        '--pictures',
        type=cli.output_folder,
        metavar='DIR',
        help='write the enlarged images as DIR/SET/NAME.png',
    )
    cli.add_config_options(parser)
    args = parser.parse_args()
    if args.results and (args.checkpoint or args.per_image or args.pictures):
        parser.error('--results is instead of a test: it has no checkpoint, images or pictures')
    if args.model_size and (args.checkpoint or args.results or args.per_image or args.pictures):
        parser.error('--model-size tests nothing')

    from csnln_mm.files import atomic_write
    from csnln_mm.mmagic.runner import load_config
    from csnln_mm.paper import tables as report

    cfg = load_config(args.config, options=args.cfg_options, work_dir=args.work_dir)
    name = args.name or Path(args.checkpoint or args.results or args.config).stem
    if args.model_size:
        size = report.model_size(cfg, tuple(args.model_size))
        text = report.format_model_size(name, size, args.format)
    else:
        scale = report.scale_of(cfg)
        if args.results:
            metrics = report.read_results(args.results)
        else:
            metrics = report.evaluate(
                cfg, args.checkpoint, per_image=args.per_image, pictures=args.pictures
            )
        text = report.format_table_1(report.result_row(name, scale, metrics), args.format)
    if args.out:
        atomic_write(args.out, f'{text}\n'.encode())
    else:
        print(text)


if __name__ == '__main__':
    cli.run(main)
