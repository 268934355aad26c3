"""What a command imports before it works: counted, since times depend on the machine."""

import subprocess
import sys

import pytest

HEAVY = {
    'torch',
    'numpy',
    'PIL',
    'cv2',
    'tifffile',
    'matplotlib',
    'rich',
    'gradio',
    'mmengine',
    'mmagic',
}
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
    done = subprocess.run([sys.executable, '-c', CODE, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    'words', [['--help'], ['upscale', '--help'], ['export', '--help'], ['explore', '--help']]
)
def test_help_imports_nothing_heavy(words):
    modules = imported(*words)
    assert not modules & HEAVY
    assert len(modules) < 160


def test_only_the_command_in_question_is_imported():
    modules = imported('upscale', '--help')
    commands = {name for name in modules if name.startswith('csnln_mm.cli.')}
    assert commands == {'csnln_mm.cli.upscale', 'csnln_mm.cli.arguments'}
