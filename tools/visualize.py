#!/usr/bin/env python
"""Look at what the attention of a network sees, and compare methods."""

import argparse
from pathlib import Path
from typing import Any

from csnln_mm.cli import arguments as cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    attention = commands.add_parser(
        'attention',
        help='in-scale and cross-scale maps of chosen pixels (Figure 6)',
        description='For each pixel: the picture with the pixel, its in-scale and its cross-scale '
        'attention map.',
    )
    attention.add_argument(
        '--at',
        required=True,
        nargs='+',
        type=_numbers('X,Y', 2),
        metavar='X,Y',
        help='pixels, counted from 0 at the top left of the upright picture',
    )
    matches = commands.add_parser(
        'matches',
        help='the patches that count most for a pixel (Figure 1)',
        description='The most engaged patches on the picture, and as a strip beside the target '
        'patch and what it became.',
    )
    matches.add_argument(
        '--at',
        required=True,
        type=_numbers('X,Y', 2),
        metavar='X,Y',
        help='pixel, counted from 0 at the top left of the upright picture',
    )
    matches.add_argument(
        '--top', type=int, default=6, metavar='K', help='how many patches, 1 to 8 (default: 6)'
    )
    for command in attention, matches:
        command.add_argument('image', metavar='IMAGE', help='low-resolution picture')
        command.add_argument('--checkpoint', required=True, metavar='FILE', help='of the network')
        command.add_argument(
            '--recurrence', type=int, metavar='N', help='from 1 (default: the last)'
        )
        command.add_argument(
            '--stage', type=int, default=1, metavar='N', help='of the cell: 2 exists at x4 only'
        )
        command.add_argument(
            '--window',
            type=int,
            default=192,
            metavar='PIXELS',
            help='of a picture with more pixels than a square of this side, the network sees '
            'such a square around the pixel; 0: the whole picture (default: 192)',
        )

    compare = commands.add_parser(
        'compare',
        help='methods side by side (Figure 5)',
        description="Reduces the ground truth by the field's protocol, enlarges it again by each "
        'method, and shows a detail of each with PSNR / SSIM of the whole (on Y).',
    )
    compare.add_argument('image', metavar='GT', help='ground truth')
    compare.add_argument(
        '--methods', nargs='+', required=True, metavar='METHOD', help='bicubic, or NAME=CHECKPOINT'
    )
    compare.add_argument(
        '--box',
        type=_numbers('X,Y,W,H', 4),
        metavar='X,Y,W,H',
        help='the detail (default: where the methods differ most)',
    )
    compare.add_argument(
        '--scale', type=int, help='default: that of the networks, or 2 for bicubic alone'
    )
    for command in attention, matches, compare:
        command.add_argument(
            '-o',
            '--out',
            required=True,
            type=cli.output_file,
            help='picture to write, e.g. out.png',
        )
        command.add_argument(
            '--config', metavar='FILE', help='config file, for a checkpoint that carries none'
        )
        command.add_argument(
            '--device', help='such as cpu or cuda:1 (default: cuda if there is some)'
        )
    args = parser.parse_args()

    import numpy as np

    from csnln_mm.images.image_file import ImageData, check_format, write_image

    # What could not be written is not worth the work.
    check_format(args.out, ImageData(np.zeros((1, 1, 3), np.uint8)))
    write_image(args.out, ImageData(_draw(args)))
    print(args.out)


def _draw(args: argparse.Namespace) -> Any:
    from csnln_mm.images.image_file import read_image

    picture = read_image(Path(args.image))
    if args.command == 'compare':
        from csnln_mm.visualization.compare_methods import compare_methods

        return compare_methods(
            picture,
            args.methods,
            box=args.box,
            scale=args.scale,
            load=lambda checkpoint: _load(checkpoint, args.config),
            device=args.device,
        )
    from csnln_mm.upscaling import Upscaler
    from csnln_mm.visualization import attention_figure, matches_figure

    network = _load(args.checkpoint, args.config)
    upscaler = Upscaler(network, tile=0, device=args.device)
    options = dict(recurrence=args.recurrence, stage=args.stage, window=args.window)
    if args.command == 'attention':
        return attention_figure(upscaler, picture, args.at, **options)
    return matches_figure(upscaler, picture, args.at, top=args.top, **options)


def _load(checkpoint: str, config: str | None) -> Any:
    if config:
        from csnln_mm.mmagic.generator import load_generator

        return load_generator(config, checkpoint)
    from csnln_mm.checkpoints import load_network

    return load_network(checkpoint)


def _numbers(form: str, count: int) -> Any:

    def parse(text: str) -> tuple[int, ...]:
        try:
            numbers = tuple(int(part) for part in text.split(','))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise argparse.ArgumentTypeError(f'{text!r} is not {form}')
        return numbers

    return parse


if __name__ == '__main__':
    cli.run(main)
