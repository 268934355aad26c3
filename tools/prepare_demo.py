#!/usr/bin/env python
"""Write scikit-image's photographs as the demo's training and test set."""
import argparse
from pathlib import Path

from csnln_mm.apis import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'root', nargs='?', default='data/demo', help='folder to write (default: data/demo)')
    args = parser.parse_args()

    from csnln_mm.datasets.demo import prepare_demo
    prepare_demo(Path(args.root))


if __name__ == '__main__':
    cli.run(main)
