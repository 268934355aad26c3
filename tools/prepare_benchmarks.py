#!/usr/bin/env python
"""``csnln prepare benchmarks``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['prepare', 'benchmarks', *sys.argv[1:]]))
