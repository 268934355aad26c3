"""Write the network of a checkpoint as a file for other programs.

safetensors: weights without code, with the architecture in the file's metadata. Every command reads
such a file, or the folder that --hub writes, in place of a checkpoint.

onnx: one graph with its weights, for batches of tiles of --tile x --tile pixels; the program that
runs it has to cut images into tiles.

examples:
  csnln export work_dirs/csnln_x2_div2k/iter_500000.pth -o csnln_x2.safetensors
  csnln export csnln_x2.pth --hub csnln-x2 --metadata license=Apache-2.0 author=me
  csnln export csnln_x2.pth -o csnln_x2.onnx --format onnx --tile 64
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from csnln_mm.cli.arguments import add_shared, output_file, output_folder, read_settings
from csnln_mm.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='checkpoint, or a model of the package'
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('-o', '--out', type=output_file, help='file to write')
    target.add_argument(
        '--hub',
        type=output_folder,
        metavar='DIR',
        help='folder to write for the Hugging Face hub: model.safetensors, config.json and a '
        'model card',
    )
    formats = dict(choices=['safetensors', 'onnx'], default='safetensors')
    add_shared(parser, '--format', **formats, help='default: safetensors')
    add_shared(parser, '--config', '--settings')
    parser.add_argument('--half', action='store_true', help='weights in float16: half the size')
    text = 'onnx: side of a tile in pixels; memory grows with its 4th power (default: 64)'
    parser.add_argument('--tile', type=int, help=text)
    text = 'onnx: convolutions in 8 bits, for CPUs that have instructions for them'
    parser.add_argument('--int8', action='store_true', help=text)
    text = 'onnx: images like those to upscale, on which --int8 finds the ranges of values'
    parser.add_argument('--calibrate', type=Path, metavar='DIR', help=text)
    parser.add_argument(
        '--metadata',
        nargs='+',
        action='extend',
        default=[],
        type=_entry,
        metavar='KEY=VALUE',
        help='further metadata; the model card shows license, author, description, training_data, '
        'training and scores',
    )


def run(args: argparse.Namespace) -> None:
    if args.hub and args.format == 'onnx':
        raise UserError('--hub writes safetensors; write an ONNX file with -o')
    if args.format != 'onnx' and (args.tile is not None or args.int8):
        raise UserError(f'--{"int8" if args.int8 else "tile"} is only for --format onnx')
    if args.int8 != bool(args.calibrate):
        raise UserError('--int8 and --calibrate DIR go together: DIR has images to try it on')
    if args.out and args.out.suffix != f'.{args.format}':
        raise UserError(
            f'{args.out} is not a name for {args.format}: '
            f'use -o {args.out.with_suffix(f".{args.format}")}'
        )
    options = dict(
        architecture=_architecture(args.config) if args.config else None,
        settings=read_settings(args.settings),
        half=args.half,
        metadata=dict(args.metadata),
    )
    if args.format == 'onnx':
        print(_export_onnx(args, **options))
    elif args.hub:
        from csnln_mm.integrations.hub import export_hub

        folder = export_hub(args.checkpoint, args.hub, **options)
        print(f'{folder}: {", ".join(sorted(path.name for path in folder.iterdir()))}')
    else:
        from csnln_mm.integrations.safetensors import export_safetensors

        metadata = export_safetensors(args.checkpoint, args.out, **options)
        size = args.out.stat().st_size
        print(f'{args.out}: x{metadata["upscale_factor"]}, {size / 1e6:.1f} MB')


def _export_onnx(
    args: argparse.Namespace,
    *,
    architecture: Any,
    settings: dict[str, Any],
    half: bool,
    metadata: dict[str, str],
) -> str:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    from csnln_mm.checkpoints.network import check_paths, read_network
    from csnln_mm.integrations.onnx import OPSET, export_onnx
    from csnln_mm.integrations.safetensors import origin

    check_paths(Path(args.checkpoint), args.out)
    read = read_network(args.checkpoint, architecture, settings=settings)
    metadata = {**origin(read.meta, args.checkpoint), **metadata}
    tile = 64 if args.tile is None else args.tile
    print('tracing the network, some seconds', file=sys.stderr, flush=True)
    with Progress(
        SpinnerColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        bar.add_task('', total=None)
        options = dict(tile=tile, half=half, calibrate=args.calibrate, metadata=metadata)
        export_onnx(read.network, args.out, **options)
    return (
        f'{args.out}: x{read.network.upscale_factor}, tiles of {tile} px, opset {OPSET}, '
        f'{args.out.stat().st_size / 1e6:.1f} MB'
    )


def _architecture(config: str) -> Any:
    """Read the network of a config file as plain data."""
    from csnln_mm.mmagic.config import load_config

    model = load_config(config).get('model') or {}
    if not model.get('generator'):
        raise UserError(f'config {config} has no model with a generator')
    return model['generator']


def _entry(text: str) -> tuple[str, str]:
    key, equals, value = text.partition('=')
    if not key or not equals:
        raise argparse.ArgumentTypeError(f'expected KEY=VALUE, got {text}')
    return key, value
