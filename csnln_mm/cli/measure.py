"""``csnln measure``: models on images, beside bicubic and published small models."""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnln_mm.cli.arguments import add_shared
from csnln_mm.errors import UserError
from csnln_mm.scales import SCALES

if TYPE_CHECKING:
    from csnln_mm.paper.measure import Measured

HELP = """\
Measure PSNR and SSIM of models on folders of images, beside bicubic and published small models.

Images are reduced by MATLAB's bicubic and upscaled again; PSNR and SSIM are on Y. Rows with an
asterisk are quoted, not measured; images other than Set5, Set14 and B100 have none. Multiply-adds
are for a result of 1280x720 pixels, seconds (--time) for an image of 512x512.

examples:
  csnln measure downloads/Set5 downloads/Set14 --scale 2
  csnln measure downloads --scale 4 -n csnln-x4-fast csnln_x4.pth --time --format markdown"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'folders',
        nargs='+',
        metavar='FOLDER',
        help='test set: a folder of HR images, or with a subfolder HR; or a folder of test sets',
    )
    parser.add_argument('-s', '--scale', type=int, default=2, help='2, 3 or 4 (default: 2)')
    parser.add_argument(
        '-n',
        '--models',
        nargs='+',
        metavar='NAME|FILE',
        help='models that come with the package, or checkpoints (default: all of the package for '
        'this scale)',
    )
    parser.add_argument('--time', action='store_true', help='measure seconds as well')
    add_shared(parser, '--device', '--format')
    parser.add_argument(
        '--record',
        action='store_true',
        help='write PSNR and SSIM into the metadata of models that are safetensors files of this '
        'scale; csnln models lists them',
    )


def run(args: argparse.Namespace) -> None:
    from csnln_mm.checkpoints.pretrained import checkpoint_path, choose_pretrained, list_pretrained
    from csnln_mm.paper.measure import collect_images, measure, measured_table
    from csnln_mm.upscaling import Upscaler
    from csnln_mm.visualization.comparison import BICUBIC

    if args.scale not in SCALES:
        raise UserError(f'--scale must be 2, 3 or 4, got {args.scale}')
    sets = collect_images(args.folders)
    models = args.models or (
        [model.name for model in list_pretrained() if model.scale == args.scale]
        or [choose_pretrained(args.scale).name]
    )
    upscalers = {
        Path(name).name: Upscaler(name, scale=args.scale, device=args.device) for name in models
    }
    if len(upscalers) < len(models):
        raise UserError('two models have the same name')
    rows = measure(
        sets, {BICUBIC: None, **upscalers}, args.scale, with_time=args.time, track=_track
    )
    print(measured_table(rows, args.scale, args.format))
    if args.record:
        for name, row in zip(models, rows[1:]):
            path = checkpoint_path(name)
            if (
                path.suffix == '.safetensors'
                and args.scale == upscalers[row.name].network.upscale_factor
            ):
                _record(path, row)


def _track(name: str, paths: list[Path]) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    return track(paths, name, console=Console(file=sys.stderr), transient=sys.stderr.isatty())


def _record(path: Path, row: 'Measured') -> None:
    """Add scores to a file's metadata; those of other test sets stay."""
    import json

    from csnln_mm.checkpoints import load_checkpoint
    from csnln_mm.integrations.safetensors import export_safetensors

    scores = json.loads(load_checkpoint(path)['meta'].get('scores', '{}'))
    scores.update({name: [round(s.psnr, 5), round(s.ssim, 6)] for name, s in row.scores.items()})
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    export_safetensors(path, partial, metadata=dict(scores=json.dumps(scores)))
    os.replace(partial, path)
