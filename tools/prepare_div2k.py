#!/usr/bin/env python
"""``csnln prepare div2k``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['prepare', 'div2k', *sys.argv[1:]]))
