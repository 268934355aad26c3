"""``csnln export``: a network for other programs."""

import argparse
from pathlib import Path
from typing import Any

from csnln_mm.cli.arguments import output_file
from csnln_mm.errors import UserError

HELP = """Write the network of a checkpoint as a file that other programs read.

safetensors: weights without code, with the architecture in the file's metadata. csnln takes it
back wherever it takes a checkpoint.

example: csnln export work_dirs/csnln_x2_div2k/iter_500000.pth -o csnln_x2.safetensors"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='whatever csnln upscale takes as --checkpoint'
    )
    parser.add_argument('-o', '--out', type=output_file, required=True, help='file to write')
    parser.add_argument(
        '--format',
        choices=['safetensors'],
        default='safetensors',
        help='of the file (default: safetensors)',
    )
    parser.add_argument(
        '--config', metavar='FILE', help='config file; only for a checkpoint that carries none'
    )
    parser.add_argument('--half', action='store_true', help='weights in float16: half the size')
    parser.add_argument(
        '--metadata',
        nargs='+',
        action='extend',
        default=[],
        type=_entry,
        metavar='KEY=VALUE',
        help="further entries of the file's metadata, such as license=apache-2.0",
    )


def run(args: argparse.Namespace) -> int:
    architecture = _architecture(args.config) if args.config else None
    return _export_safetensors(args, architecture)


def _export_safetensors(args: argparse.Namespace, architecture: Any) -> int:
    from csnln_mm.integrations.safetensors import export_safetensors

    metadata = export_safetensors(
        args.checkpoint,
        args.out,
        architecture=architecture,
        half=args.half,
        metadata=dict(args.metadata),
    )
    size = Path(args.out).stat().st_size
    print(f'{args.out}: x{metadata["upscale_factor"]}, {size / 1e6:.1f} MB')
    return 0


def _architecture(config: str) -> Any:
    """The network of a config file, as plain data."""
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
