#!/usr/bin/env python
"""Cut DIV2K, or photographs of your own, into the sub-images that are trained on.

ROOT is where the download was unpacked: DIV2K_train_HR with 0001.png to
0800.png, and DIV2K_train_LR_bicubic with X2, X3, X4. Run again after an
interruption: what is done stays. Exit status 1 if an image failed.
"""

import argparse
from pathlib import Path

from csnln_mm.cli import arguments as cli


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n'
        '  tools/prepare_div2k.py data/DIV2K\n'
        '  tools/prepare_div2k.py data/DIV2K --make-lr --scales 2\n'
        '  tools/prepare_div2k.py data/mine --photographs ~/Pictures\n'
        '  tools/train.py configs/csnln_x2_div2k.py --cfg-options '
        'train_dataloader.dataset.data_root=data/mine',
    )
    parser.add_argument(
        'root',
        metavar='ROOT',
        type=cli.output_folder,
        help='data set; the configs train on data/DIV2K',
    )
    parser.add_argument(
        '--scales', nargs='+', type=int, choices=(2, 3, 4), default=(2, 3, 4), help='default: all'
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--make-lr', action='store_true', help='make LR images that were not downloaded'
    )
    group.add_argument(
        '--photographs',
        metavar='DIR',
        type=Path,
        help='not DIV2K: make a data set of the same layout in ROOT of the images in DIR',
    )
    parser.add_argument(
        '--crop-size',
        type=int,
        default=480,
        metavar='PIXELS',
        help='side of sub-images, no longer than that of the smallest image; default: 480',
    )
    parser.add_argument(
        '--step',
        type=int,
        metavar='PIXELS',
        help='from one sub-image to the next; default: half of --crop-size',
    )
    parser.add_argument('--processes', type=int, metavar='N', help='default: one for each core')
    args = parser.parse_args()
    if args.processes is not None and args.processes < 1:
        parser.error('--processes must be at least 1')
    if args.step is None:
        args.step = args.crop_size // 2

    from csnln_mm.datasets.div2k import (
        ANNOTATION_FILE,
        SubImages,
        prepare_div2k,
        prepare_images,
    )
    from csnln_mm.datasets.parallel import report_failures

    options = dict(
        scales=args.scales,
        sub_images=SubImages(args.crop_size, args.step),
        processes=args.processes,
    )
    if args.photographs:
        failures = prepare_images(args.photographs, args.root, **options)
    else:
        failures = prepare_div2k(args.root, make_lr=args.make_lr, **options)
    if not failures:
        path = args.root / ANNOTATION_FILE
        print(f'{path}: {len(path.read_text().splitlines())} sub-images')
    return report_failures(failures)


if __name__ == '__main__':
    cli.run(main)
