"""Draw what a network attends to, what its result depends on, and compare methods.

example: csnln visualize attribution photo.jpg --at 95,75 -o attribution.png
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from csnln_mm.cli import arguments
from csnln_mm.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest='figure', required=True, metavar='FIGURE')

    attention = commands.add_parser(
        'attention',
        help='in-scale and cross-scale maps of chosen pixels (Figure 6)',
        description='For each pixel: the image with the pixel, its in-scale and its cross-scale '
        'attention map.',
    )
    attribution = commands.add_parser(
        'attribution',
        help='which pixels of the input a detail of the result depends on',
        description='For each pixel: the image with the detail around the pixel, its local '
        'attribution map (LAM, Gu and Dong 2021) with the diffusion index, and the attention maps '
        'of the pixel if the network has attention.',
    )
    text = 'side of the square around the pixel, in the result (default: %(default)s)'
    attribution.add_argument('--detail', type=int, default=16, metavar='PIXELS', help=text)
    attribution.add_argument(
        '--steps',
        type=int,
        default=50,
        metavar='N',
        help='forward and backward passes; more reduce the error, which the figure states '
        '(default: %(default)s)',
    )
    matches = commands.add_parser(
        'matches',
        help='patches with the largest weights for a pixel (Figure 1)',
        description='The patches with the largest weights on the image, and as a strip beside '
        'the target patch and its result.',
    )
    matches.add_argument(
        '--top', type=int, default=6, metavar='K', help='how many patches, 1 to 8 (default: 6)'
    )
    for command in attention, attribution, matches:
        command.add_argument('image', metavar='IMAGE', help='low-resolution image')
        command.add_argument(
            '--at',
            required=True,
            nargs=None if command is matches else '+',
            type=_numbers('X,Y', 2),
            metavar='X,Y',
            help='pixel, counted from 0 at the top left of the upright image',
        )
        command.add_argument(
            '--checkpoint',
            metavar='NAME|FILE',
            help='checkpoint, or a model of the package (default: the smallest'
            + (')' if command is attribution else ' with attention)'),
        )
        text = 'recurrence, from 1 (default: the last with attention)'
        command.add_argument('--recurrence', type=int, metavar='N', help=text)
        text = 'stage of the cell, 1 or 2; x4 has 2 (default: 1)'
        command.add_argument('--stage', type=int, default=1, metavar='N', help=text)
        command.add_argument(
            '--window',
            type=int,
            default=96 if command is attribution else 192,
            metavar='PIXELS',
            help='side of the square around the pixel that the network gets of a larger image; '
            '0: the whole image (default: %(default)s)',
        )

    compare = commands.add_parser(
        'compare',
        help='methods side by side (Figure 5)',
        description="Reduces the ground truth by the field's protocol, upscales it again by each "
        'method, and shows a detail of each with PSNR / SSIM of the whole image (on Y). For a '
        'folder of ground truths: a figure of each, and a table.',
    )
    compare.add_argument(
        'image', metavar='GT', help='ground truth: an image, or a folder such as data/Set5/GTmod12'
    )
    compare.add_argument(
        '--methods',
        nargs='+',
        required=True,
        metavar='METHOD',
        help='bicubic, a model that comes with the package, NAME=CHECKPOINT, or NAME=FOLDER of '
        'results with the names of the ground truths',
    )
    text = 'the crop to show (default: where the methods differ most)'
    compare.add_argument('--box', type=_numbers('X,Y,W,H', 4), metavar='X,Y,W,H', help=text)
    compare.add_argument(
        '--scale', type=int, help='default: that of the networks, or 2 if there are none'
    )
    for command in attention, attribution, matches, compare:
        command.add_argument(
            '-o',
            '--out',
            required=True,
            type=Path,
            help='image to write, e.g. out.png'
            + ('; for a folder, the folder of the figures' if command is compare else ''),
        )
        arguments.add_shared(command, '--config', '--settings', '--device')


def run(args: argparse.Namespace) -> None:
    from csnln_mm.images.image_file import ImageHeader, check_format, write_image

    # Fail before the work if the result cannot be written.
    is_folder = args.figure == 'compare' and Path(args.image).is_dir()
    try:
        (arguments.output_folder if is_folder else arguments.output_file)(str(args.out))
    except argparse.ArgumentTypeError as error:
        raise UserError(f'--out: {error}') from error
    if not is_folder:
        check_format(args.out, ImageHeader((1, 1)))
    if args.figure == 'compare':
        _compare(args, is_folder)
    else:
        write_image(args.out, _draw_attention(args))
    print(f'figures in {args.out}/' if is_folder else args.out)


def _draw_attention(args: argparse.Namespace) -> Any:
    from csnln_mm.checkpoints import choose_pretrained
    from csnln_mm.images.image_file import read_image
    from csnln_mm.upscaling import Upscaler
    from csnln_mm.visualization import attention_figure, attribution_figure, matches_figure

    image = read_image(Path(args.image))
    # Attribution works with any network.
    with_attention = args.figure != 'attribution'
    checkpoint = args.checkpoint or choose_pretrained(with_attention=with_attention).path
    network = arguments.network(checkpoint, args.config, args.settings)
    upscaler = Upscaler(network, tile=0, device=args.device)
    options = dict(recurrence=args.recurrence, stage=args.stage, window=args.window)
    if args.figure == 'attention':
        return attention_figure(upscaler, image, args.at, **options)
    if args.figure == 'attribution':
        options.update(detail=args.detail, steps=args.steps)
        with _progress(args.at) as on_step:
            return attribution_figure(upscaler, image, args.at, on_step=on_step, **options)
    return matches_figure(upscaler, image, args.at, top=args.top, **options)


@contextlib.contextmanager
def _progress(points: list[tuple[int, int]]) -> Iterator[Callable[[int, int, int], None]]:
    """Report the steps of all points, with the time left."""
    from csnln_mm.upscaling.progress import report_text

    with report_text(sys.stdout) as tell:
        tell(dict(event='start', images=len(points)))

        def on_step(number: int, done: int, total: int) -> None:
            x, y = points[number - 1]
            tile = dict(number=number, source=f'pixel {x},{y}', tile=done, tiles=total)
            fraction = (number - 1 + done / total) / len(points)
            tell(dict(event='tile', fraction=fraction, **tile))

        yield on_step


def _compare(args: argparse.Namespace, is_folder: bool) -> None:
    from csnln_mm.files import atomic_write
    from csnln_mm.images.image_file import write_image
    from csnln_mm.visualization import compare_methods, comparison_figure, comparison_table

    methods, scores = _methods(args), {}
    for comparison in compare_methods(args.image, methods, scale=args.scale, device=args.device):
        scores[comparison.name] = comparison.scores
        path = args.out / f'{comparison.name}.png' if is_folder else args.out
        write_image(path, comparison_figure(comparison, box=args.box))
    if is_folder:
        table = comparison_table(scores)
        atomic_write(args.out / 'table.txt', f'{table}\n'.encode())
        print(table)


def _methods(args: argparse.Namespace) -> dict[str, Any]:
    """Map names to methods: 'bicubic', an upscaler or a folder."""
    from csnln_mm.checkpoints import list_pretrained
    from csnln_mm.upscaling import Upscaler
    from csnln_mm.visualization.comparison import BICUBIC

    known = [BICUBIC, *(model.name for model in list_pretrained())]
    paths: dict[str, str] = {}
    for method in args.methods:
        name, equals, path = method.partition('=')
        if method not in known and not (equals and name and path):
            raise UserError(
                f'method {method!r} is not one of {", ".join(known)}, and neither '
                'NAME=CHECKPOINT nor NAME=FOLDER'
            )
        if name in paths:
            raise UserError(f'two methods are named {name}')
        paths[name] = path if equals else name
    return {
        name: path
        if path == BICUBIC or Path(path).is_dir()
        else Upscaler(
            arguments.network(path, args.config, args.settings),
            scale=args.scale,
            device=args.device,
        )
        for name, path in paths.items()
    }


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
