#!/usr/bin/env python
"""``csnln test``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
