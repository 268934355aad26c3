#!/usr/bin/env python
"""Write scikit-image's photographs as the demo's training and test set."""

import argparse

from csnln_mm.cli import arguments as cli
from csnln_mm.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'root',
        nargs='?',
        type=cli.output_folder,
        default='data/demo',
        help='folder to write (default: data/demo)',
    )
    args = parser.parse_args()

    try:
        from csnln_mm.datasets.demo import prepare_demo
    except ModuleNotFoundError as error:
        raise UserError(f"there is no {error.name}; pip install 'csnln-mm[demo]'") from error
    prepare_demo(args.root)


if __name__ == '__main__':
    cli.run(main)
