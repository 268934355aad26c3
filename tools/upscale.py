#!/usr/bin/env python
"""The same as ``csnln upscale``."""

import sys

from csnln_mm.cli import main

sys.exit(main(['upscale', *sys.argv[1:]]))
