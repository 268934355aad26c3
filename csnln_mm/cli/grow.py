"""Initialise a larger network from the weights of a smaller one, or one of other bands.

--attention adds attention to a network that has only the local branch: its result does not change
at first, and the attention is selective from the first training step. --scale makes a network for
another scale, by resizing kernels. --num-recurrences, alone or with either, applies the cell more
often; this, too, does not change the result at first. --channels makes a network of one band, or of
any number: of grey images, or equal bands, it makes the same at first. Use the result as --weights
of csnln train.

examples:
  csnln grow csnln-x2-fast x2_start.safetensors --attention cross_scale --recurrences 1 \\
      --images data/DIV2K/DIV2K_train_LR_bicubic/X2_sub
  csnln grow csnln-x2-fast x4_start.safetensors --scale 4 --num-recurrences 8
  csnln grow csnln-x2-fast four_bands.safetensors --channels 4
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnln_mm.cli import arguments
from csnln_mm.errors import UserError
from csnln_mm.scales import SCALES

if TYPE_CHECKING:
    from torch import Tensor

# How many images to use, and the side of the crop from the middle of each.
_COUNT, _SIDE = 16, 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = 'smaller network: a checkpoint, or a model of the package'
    parser.add_argument('checkpoint', metavar='NAME|FILE', help=text)
    parser.add_argument(
        'out', type=arguments.output_file, metavar='OUT', help='safetensors file to write'
    )
    number = dict(type=arguments.at_least_one, metavar='N')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        '--attention', nargs='+', choices=('in_scale', 'cross_scale'), help='branches to add'
    )
    kind.add_argument('--scale', type=int, choices=SCALES, help='scale of the new network')
    kind.add_argument('--channels', **number, help='bands that the new network takes and gives')
    parser.add_argument(
        '--num-recurrences', **number, help='recurrences of the new network (default: the same)'
    )
    text = 'recurrences, from 1, that get attention (default: all)'
    parser.add_argument('--recurrences', nargs='+', **number, help=text)
    text = 'low-resolution images from which --attention computes its initial weights'
    parser.add_argument('--images', metavar='FOLDER', help=text)
    text = 'how selective the attention is at first; 0: a plain mean (default: 0.3)'
    parser.add_argument('--gain', type=float, default=0.3, help=text)


def run(args: argparse.Namespace) -> None:
    if not (args.attention or args.scale or args.channels or args.num_recurrences):
        raise UserError('give --attention, --scale, --channels or --num-recurrences')
    if args.attention and not args.images:
        raise UserError('--attention needs --images')
    for name in 'recurrences', 'images':
        if getattr(args, name) and not args.attention:
            raise UserError(f'--{name} is for --attention')

    from csnln_mm.checkpoints.network import check_paths, read_network
    from csnln_mm.integrations.safetensors import save_safetensors
    from csnln_mm.networks import build_network
    from csnln_mm.networks.growth import (
        add_attention,
        add_recurrences,
        change_channels,
        change_scale,
    )

    check_paths(Path(args.checkpoint), args.out)
    images = _images(args.images) if args.images else []
    small = read_network(args.checkpoint)
    architecture = _architecture(args, small.architecture)
    weights = small.weights
    if args.channels:
        architecture, weights = change_channels(architecture, weights, args.channels)
    try:
        network = build_network(architecture)
        weights = add_recurrences(weights, network.num_recurrences)
        if args.attention:
            add_attention(network, weights, images, gain=args.gain)
        elif args.scale:
            change_scale(network, weights)
        else:
            network.load_state_dict(weights)
    except ValueError as error:
        raise UserError(f'{args.checkpoint}: {error}') from error
    save_safetensors(
        network.state_dict(),
        architecture,
        args.out,
        metadata=dict(source=Path(args.checkpoint).name),
    )
    parameters = sum(p.numel() for p in network.parameters())
    bands = f'bands: {network.in_channels}, ' if args.channels else ''
    print(f'{args.out}: x{network.upscale_factor}, {bands}{parameters:,} parameters')


def _architecture(args: argparse.Namespace, small: dict[str, Any]) -> dict[str, Any]:
    if args.num_recurrences:
        small = dict(small, num_recurrences=args.num_recurrences)
    if args.recurrences:
        small = dict(small, attention_recurrences=args.recurrences)
    cell = dict(small.get('cell') or {})
    if args.scale:
        small = dict(small, upscale_factor=args.scale)
        if len(cell.get('stages') or ()) == 1:
            cell['stages'] = [args.scale]
    if args.attention:
        # A single stage, as the local branch alone has it.
        cell.update(branches=['local', *args.attention], stages=[small.get('upscale_factor', 2)])
    return dict(small, cell=cell)


def _images(folder: str) -> list['Tensor']:
    """Crops of images, each [1, 3, h, w] in 0..1."""
    import torch

    from csnln_mm.images.image_file import middle_crops

    crops = map(torch.from_numpy, middle_crops(Path(folder), _COUNT, _SIDE))
    return [crop.permute(2, 0, 1)[None].float() / 255 for crop in crops]
