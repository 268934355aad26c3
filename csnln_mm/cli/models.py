"""List the models that come with the package.

PSNR and SSIM on Y were measured by csnln measure. csnln upscale uses the first model of a
scale, for JPEG and other lossy files that of them; -n NAME chooses another.

examples:
  csnln models
  csnln models csnln-x2-fast
"""

import argparse

from csnln_mm.cli import arguments
from csnln_mm.errors import UserError

# What the table on the terminal leaves out, so that it fits 80 columns.
_DETAILS = {'scale', 'size', 'Set14', 'B100', 'Kodak24', 'licence', 'trained on'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', nargs='?', help='print all that is known of this model')
    arguments.add_shared(parser, '--format')


def run(args: argparse.Namespace) -> None:
    from csnln_mm.checkpoints import list_pretrained
    from csnln_mm.checkpoints.pretrained import checkpoint_path
    from csnln_mm.tables import format_table

    models = list_pretrained()
    sets = list(dict.fromkeys(name for model in models for name in model.scores))
    header = ['name', 'scale', 'attention', 'made for', 'parameters', 'size', *sets]
    header += ['licence', 'trained on']
    rows = {
        model.name: [
            model.name,
            f'x{model.scale}',
            'yes' if model.with_attention else 'no',
            'lossy files' if model.for_lossy else 'images',
            f'{model.parameters:,}',
            f'{model.path.stat().st_size / 1e6:.1f} MB',
            *(
                '{:.2f} / {:.4f}'.format(*model.scores[s]) if s in model.scores else '-'
                for s in sets
            ),
            model.licence,
            model.training_data,
        ]
        for model in models
    }
    if args.name:
        model = next((model for model in models if model.name == args.name), None)
        if model is None:
            checkpoint_path(args.name)  # suggests the nearest name
            raise UserError(f'{args.name} is a file, not a model of the package')
        details = dict(zip(header, rows[model.name]), training=model.training, file=model.path)
        for title, text in details.items():
            print(f'{title:12}{text}')
        return
    if args.format == 'markdown':
        print(format_table(header, list(rows.values()), args.format))
        return
    shown = [i for i, title in enumerate(header) if title not in _DETAILS]
    short = [[row[i] for i in shown] for row in (header, *rows.values())]
    print(format_table(short[0], short[1:]))
    print('\nSet5: PSNR / SSIM on Y. All that is known of a model: csnln models NAME')
