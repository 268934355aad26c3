#!/usr/bin/env python
"""The same as ``csnln test``."""

import sys

from csnln_mm.cli import main

sys.exit(main(['test', *sys.argv[1:]]))
