#!/usr/bin/env python
"""``csnln prepare demo``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['prepare', 'demo', *sys.argv[1:]]))
