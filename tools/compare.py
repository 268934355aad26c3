#!/usr/bin/env python
"""Compare pictures saved by tools/test.py --save-images with bicubic enlargement.

Prints a table of PSNR and SSIM (on Y), and draws a picture for each photograph.
"""

import argparse
from pathlib import Path

from csnln_mm.cli import arguments as cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('benchmark', help='folder with GTmod12 and LRbicxS, e.g. data/demo/test')
    parser.add_argument('predictions', help='folder with the predicted pictures')
    parser.add_argument(
        'out', type=cli.output_folder, help='folder for the comparison pictures and table.txt'
    )
    parser.add_argument(
        '--scale', type=int, default=2, choices=[2, 3, 4], help='of the pictures (default: 2)'
    )
    args = parser.parse_args()

    from csnln_mm.visualization.comparison import compare_benchmark, draw_comparison, format_table

    comparisons = compare_benchmark(Path(args.benchmark), Path(args.predictions), args.scale)
    for comparison in comparisons:
        draw_comparison(comparison, args.out / f'{comparison.name}.png')
    table = format_table(comparisons)
    (args.out / 'table.txt').write_text(table + '\n')
    print(table)
    print(f'pictures in {args.out}/')


if __name__ == '__main__':
    cli.run(main)
