#!/usr/bin/env python
"""The same as ``csnln train``."""

import sys

from csnln_mm.cli import main

sys.exit(main(['train', *sys.argv[1:]]))
