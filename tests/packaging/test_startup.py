"""What a command imports before it works: counted, since times depend on the machine."""

import pytest
from command_line import run_code
from PIL import Image

from csnln_mm.cli import COMMANDS

HEAVY = set('torch numpy PIL cv2 tifffile matplotlib rich gradio mmengine mmagic'.split())
# Beside what torch imports by itself.
NOT_FOR_A_PNG = set(
    'sympy scipy tifffile imagecodecs matplotlib rich PIL.TgaImagePlugin torch._dynamo'.split()
)
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


def test_a_png_is_upscaled_without_what_it_does_not_need(tmp_path):
    """Of sympy alone the import takes longer than all that comes after torch's."""
    Image.new('RGB', (8, 8)).save(tmp_path / 'a.png')
    alone = set(run_code('import sys, torch; print(*sys.modules)').split())
    modules = imported('upscale', tmp_path / 'a.png', '--device', 'cpu')
    assert (tmp_path / 'a_x2.png').is_file()
    assert not (modules - alone) & NOT_FOR_A_PNG
    assert len(modules - alone) < 160
