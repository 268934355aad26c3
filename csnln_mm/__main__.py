"""``python -m csnln_mm`` is ``csnln``."""

import sys

from csnln_mm.cli import main

sys.exit(main())
