"""Convert a checkpoint of the authors' released code for csnln test, train and load_from.

Scale, channels and recurrences are read from the file. --to-released converts weights that were
trained here for the released code.

examples:
  csnln convert model_x2.pt csnln_x2.pth
  csnln convert work_dirs/csnln_x2_div2k/iter_500000.pth mine_x2.pt --to-released
"""

import argparse
from pathlib import Path

from csnln_mm.scales import SCALES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', metavar='SRC', type=Path, help='checkpoint to read')
    parser.add_argument('target', metavar='DST', type=Path, help='checkpoint to write')
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument(
        '--scale', type=int, choices=SCALES, help='refuse a checkpoint for another scale'
    )
    direction.add_argument(
        '--to-released',
        action='store_true',
        help='SRC was trained or converted here, DST is for the released code',
    )


def run(args: argparse.Namespace) -> None:
    from csnln_mm.checkpoints.convert import convert_released_file, convert_to_released_file

    if args.to_released:
        model = convert_to_released_file(args.source, args.target)
    else:
        model = convert_released_file(args.source, args.target, scale=args.scale)
    print(
        f'{args.target}: x{model.upscale_factor}, {model.mid_channels} channels, '
        f'{model.num_recurrences} recurrences'
    )
    if args.to_released:
        print(
            f'the released model that loads it: scale {model.upscale_factor}, n_feats '
            f'{model.mid_channels}, depth {model.num_recurrences}'
        )
        return
    test = f'csnln test configs/csnln_x{model.upscale_factor}_div2k.py {args.target}'
    if (model.mid_channels, model.num_recurrences) != (128, 12):
        test += (
            f' --cfg-options model.generator.num_recurrences={model.num_recurrences}'
            f' model.generator.mid_channels={model.mid_channels}'
        )
    print(f'test it: {test}')
