"""What a command imports before it works: counted, since times depend on the machine."""

import pytest
from command_line import run_code

from csnln_mm.cli import COMMANDS

HEAVY = set('torch numpy PIL cv2 tifffile matplotlib rich gradio mmengine mmagic'.split())
CODE = """
import sys
try:
    from csnln_mm.cli import main
    main(sys.argv[1:])
except SystemExit:
    pass
print('\\n' + ' '.join(sys.modules))
"""


def imported(*words):
    return set(run_code(CODE, *words).splitlines()[-1].split())


@pytest.mark.parametrize('command', ['', 'upscale', 'export', 'explore'])
def test_help_imports_nothing_heavy_and_no_other_command(command):
    modules = imported(*command.split(), '--help')
    assert not modules & HEAVY
    assert len(modules) < 160
    assert modules & {f'csnln_mm.cli.{name}' for name in COMMANDS} <= {f'csnln_mm.cli.{command}'}
