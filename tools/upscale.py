#!/usr/bin/env python
"""Enlarge pictures with a trained network.

Exit status: 0 if all pictures are done or were there, 1 if some failed, 2 if nothing could be
begun because an argument, the checkpoint or the device is wrong.
"""

import argparse
import sys

from csnln_mm.cli import arguments as cli


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'inputs', nargs='+', metavar='INPUT', help="pictures, folders, or patterns like 'a/*.png'"
    )
    parser.add_argument(
        '-o',
        '--out',
        required=True,
        help='output folder, made if need be; or a file, for one input file',
    )
    parser.add_argument(
        '--checkpoint',
        required=True,
        metavar='FILE',
        help='checkpoint of a training, converted, or as the authors released it',
    )
    parser.add_argument(
        '--config', metavar='FILE', help='config file; only for a checkpoint that carries none'
    )
    parser.add_argument(
        '-r', '--recursive', action='store_true', help='also the folders in input folders'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace results that exist (default: skip them)'
    )
    parser.add_argument(
        '--format',
        default='png',
        choices=['png', 'jpg', 'webp', 'tiff', 'bmp', 'same'],
        help='of the results; same: that of each input (default: png)',
    )
    parser.add_argument(
        '--tile',
        type=int,
        metavar='PIXELS',
        help='side of the pieces that a picture goes through in, in pixels of the input; also '
        'how far the attention sees. 0: the whole picture at once (default: by device and '
        'free memory, printed)',
    )
    parser.add_argument(
        '--overlap',
        type=int,
        metavar='PIXELS',
        help='that neighbouring pieces share, at most half of --tile (default: 16)',
    )
    parser.add_argument(
        '--ensemble',
        action='store_true',
        help='mean over the 8 flips and rotations: a little better, 8 times the time',
    )
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: cuda if there is some)')
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        '--dtype',
        choices=['float32', 'float16', 'bfloat16'],
        default='float32',
        help='precision of the network (default: float32)',
    )
    precision.add_argument(
        '--amp',
        action='store_const',
        dest='dtype',
        const='float16',
        help='the same as --dtype float16: less time and memory on a GPU',
    )
    args = parser.parse_args()

    from csnln_mm.upscaling import upscale
    from csnln_mm.upscaling.progress import ConsoleProgress

    network = args.checkpoint
    if args.config:
        from csnln_mm.mmagic.generator import load_generator

        network = load_generator(args.config, args.checkpoint)

    results = upscale(
        args.inputs,
        args.out,
        checkpoint=network,
        recursive=args.recursive,
        overwrite=args.overwrite,
        suffix='same' if args.format == 'same' else f'.{args.format}',
        tile=args.tile,
        overlap=args.overlap,
        ensemble=args.ensemble,
        device=args.device,
        dtype=args.dtype,
        progress=ConsoleProgress(),
    )
    counts = {
        status: [r for r in results if r.status == status]
        for status in ('done', 'skipped', 'failed')
    }
    print(
        f'{len(counts["done"])} done, {len(counts["skipped"])} skipped because the result '
        f'exists, {len(counts["failed"])} failed'
    )
    for result in counts['failed']:
        where = '' if result.source in result.reason else f'{result.source}: '
        print(f'failed: {where}{result.reason}', file=sys.stderr)
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    cli.run(main)
