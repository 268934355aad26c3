"""``csnln models``: list the models that come with the package."""

import argparse

from csnln_mm.cli import arguments

HELP = """\
List the models that come with the package.

PSNR and SSIM on Y were measured by csnln measure. csnln upscale uses the first model of a
scale, for JPEG and other lossy files that of them; -n NAME chooses another.

example: csnln upscale photo.jpg -n csnln-x2-fast"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_shared(parser, '--format')


def run(args: argparse.Namespace) -> None:
    from csnln_mm.checkpoints import list_pretrained
    from csnln_mm.tables import format_table

    models = list_pretrained()
    sets = list(dict.fromkeys(name for model in models for name in model.scores))
    header = ['name', 'scale', 'attention', 'made for', 'parameters', 'size', *sets]
    header += ['licence', 'trained on']
    rows = [
        [
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
    ]
    print(format_table(header, rows, args.format))
