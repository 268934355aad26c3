#!/usr/bin/env python
"""The same as ``csnln convert``."""

import sys

from csnln_mm.cli import main

sys.exit(main(['convert', *sys.argv[1:]]))
