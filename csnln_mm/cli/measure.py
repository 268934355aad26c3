"""Measure PSNR and SSIM of models, or of finished results of any program, on folders of images,
beside bicubic and published small models.

Images are reduced by MATLAB's bicubic and upscaled again; PSNR and SSIM are on Y, of other than
three bands on all of them, and refer to the range of values of more than 8 bits. Rows with an
asterisk are quoted, not measured; test sets that nobody published figures of have none.
Multiply-adds are for a result of 1280x720 pixels, seconds (--time) for an image of 512x512.

examples:
  csnln measure downloads/Set5 downloads/Set14 --scale 2
  csnln measure downloads --scale 4 -n csnln-x4-fast csnln_x4.pth --time --format markdown
  csnln measure downloads/Kodak24 --jpeg 85 50 30
  csnln measure downloads/Set5 --scale 4 --results theirs=upscaled/ --metrics lpips dists
  csnln measure --scale 4 --results metrics.json
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnln_mm.cli.arguments import add_shared, named_paths, quality
from csnln_mm.errors import UserError
from csnln_mm.scales import SCALES

if TYPE_CHECKING:
    from csnln_mm.paper.results import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'folders',
        nargs='*',
        metavar='FOLDER',
        help='test set: a folder of HR images, or with a subfolder HR or GTmod12; or a folder of '
        'test sets',
    )
    parser.add_argument('-s', '--scale', type=int, default=2, help='2, 3 or 4 (default: 2)')
    parser.add_argument(
        '-n',
        '--models',
        nargs='+',
        metavar='NAME|FILE',
        help='models that come with the package, or checkpoints (default: without --results, all '
        'of the package for this scale)',
    )
    parser.add_argument(
        '--results',
        nargs='+',
        default=[],
        metavar='[NAME=]PATH',
        help='finished results: a folder of images, paired with the HR images by their names (of '
        'several test sets: with a folder for each), or metrics that csnln test --out wrote',
    )
    text = 'further columns, on RGB, by the package pyiqa; lower is better'
    parser.add_argument('--metrics', nargs='+', default=[], choices=('lpips', 'dists'), help=text)
    text = 'compress the reduced images as JPEG first, of each of these qualities, 1 to 100'
    parser.add_argument('--jpeg', nargs='+', type=quality, default=[], metavar='QUALITY', help=text)
    add_shared(parser, '--range', '--bands')
    parser.add_argument('--time', action='store_true', help='measure seconds as well')
    add_shared(parser, '--device', '--format')
    parser.add_argument(
        '--record',
        action='store_true',
        help='write PSNR and SSIM into the metadata of models that are safetensors files of this '
        'scale; csnln models lists them',
    )


def run(args: argparse.Namespace) -> None:
    if args.jpeg and args.record:
        raise UserError('--record is for scores of images as they are, without --jpeg')
    from csnln_mm.paper.published import published_small
    from csnln_mm.paper.results import Result, read_scores, results_table

    if args.scale not in SCALES:
        raise UserError(f'--scale must be 2, 3 or 4, got {args.scale}')
    paths = {name: Path(path) for name, path in named_paths(args.results, 'results').items()}
    for path in paths.values():
        if not path.exists():
            raise UserError(f'--results: {path} does not exist')
    files = {name: path for name, path in paths.items() if path.is_file()}
    rows = [Result(name, read_scores(str(path))) for name, path in files.items()]
    folders = {name: path for name, path in paths.items() if name not in files}
    if args.folders:
        rows = _measure(args, folders) + rows
    elif folders or args.models or not files:
        raise UserError('name a folder of HR images to measure on')
    sets = list(dict.fromkeys(name for row in rows for name in row.scores))
    quoted = [
        row._replace(name=f'{row.name} *')
        for row in published_small(args.scale)
        if row.scores.keys() & set(sets)
    ]
    title = ' / '.join([f'x{args.scale}, PSNR / SSIM', *map(str.upper, args.metrics)])
    print(results_table(title, sets, quoted + rows, args.format))


def _measure(args: argparse.Namespace, folders: dict[str, Path]) -> list['Result']:
    """Measure bicubic, models and folders of finished results on the test sets."""
    from csnln_mm.checkpoints.pretrained import checkpoint_path, choose_pretrained, list_pretrained
    from csnln_mm.paper.measure import collect_images, measure
    from csnln_mm.paper.perceptual import load_metric
    from csnln_mm.upscaling import Upscaler
    from csnln_mm.visualization.comparison import BICUBIC

    sets = collect_images(args.folders)
    metrics = [load_metric(name, args.device) for name in args.metrics]
    models = args.models or []
    if not models and not args.results:
        models = [model.name for model in list_pretrained() if model.scale == args.scale]
        models = models or [choose_pretrained(args.scale).name]
    upscalers = {
        Path(name).name: Upscaler(name, scale=args.scale, device=args.device) for name in models
    }
    methods: dict[str, Any] = {BICUBIC: BICUBIC, **upscalers, **folders}
    if len(methods) < 1 + len(models) + len(folders):
        raise UserError('two models, or a model and results, have the same name')
    rows = measure(
        sets,
        methods,
        args.scale,
        metrics=metrics,
        jpeg=args.jpeg,
        value_range=args.range,
        bands=args.bands,
        with_time=args.time,
        track=_track,
    )
    if args.record:
        for name, row in zip(models, rows[1:]):
            path = checkpoint_path(name)
            if (
                path.suffix == '.safetensors'
                and args.scale == upscalers[row.name].network.upscale_factor
            ):
                _record(path, row)
    return rows


def _track(name: str, images: Iterator[Any], count: int) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    return track(images, name, count, console=console, transient=sys.stderr.isatty())


def _record(path: Path, row: 'Result') -> None:
    """Add scores to a file's metadata, and keep those of other test sets."""
    import json

    from csnln_mm.checkpoints import load_checkpoint
    from csnln_mm.integrations.safetensors import export_safetensors

    scores = json.loads(load_checkpoint(path)['meta'].get('scores', '{}'))
    scores.update({name: [round(s.psnr, 5), round(s.ssim, 6)] for name, s in row.scores.items()})
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    export_safetensors(path, partial, metadata=dict(scores=json.dumps(scores)))
    os.replace(partial, path)
