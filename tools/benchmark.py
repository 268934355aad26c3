#!/usr/bin/env python
"""``csnln benchmark``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['benchmark', *sys.argv[1:]]))
