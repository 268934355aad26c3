#!/usr/bin/env python
"""Make test sets from HR images: GTmod12 and LRbicx2, LRbicx3, LRbicx4.

Each image is cut to sides that are multiples of 12 and reduced by MATLAB's
antialiased bicubic. Run again after an interruption: what is done stays.
Exit status 1 if an image failed; the others are done.
"""

import argparse
from pathlib import Path

from csnln_mm.cli import arguments as cli


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: tools/prepare_benchmarks.py downloads/Set5 data/Set5',
    )
    parser.add_argument(
        'source',
        metavar='SRC',
        type=Path,
        help='folder of HR images, or of one folder for each test set; the images of a set may '
        'lie in a folder HR of its own',
    )
    parser.add_argument(
        'target',
        metavar='DST',
        type=cli.output_folder,
        help='where GTmod12 and LRbicx2 .. go, for a folder of test sets within folders of their '
        'names; the configs test data/Set5, data/Set14, data/B100, data/Urban100, data/Manga109',
    )
    parser.add_argument(
        '--scales', nargs='+', type=int, choices=(2, 3, 4), default=(2, 3, 4), help='default: all'
    )
    parser.add_argument('--processes', type=int, metavar='N', help='default: one for each core')
    args = parser.parse_args()
    if args.processes is not None and args.processes < 1:
        parser.error('--processes must be at least 1')

    from csnln_mm.datasets.benchmarks import prepare_benchmarks
    from csnln_mm.datasets.parallel import report_failures

    counts, failures = prepare_benchmarks(
        args.source, args.target, scales=args.scales, processes=args.processes
    )
    for name, count in counts.items():
        print(f'{args.target / name}: {count} images')
    return report_failures(failures)


if __name__ == '__main__':
    cli.run(main)
