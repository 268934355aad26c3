#!/usr/bin/env python
"""``csnln report``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['report', *sys.argv[1:]]))
