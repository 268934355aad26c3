#!/usr/bin/env python
"""``csnln ablation``."""

import sys

from csnln_mm.cli import main

if __name__ == '__main__':
    sys.exit(main(['ablation', *sys.argv[1:]]))
