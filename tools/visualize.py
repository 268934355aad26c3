#!/usr/bin/env python
"""``csnln visualize``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['visualize', *sys.argv[1:]]))
