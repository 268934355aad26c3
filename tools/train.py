#!/usr/bin/env python
"""``csnln train``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
