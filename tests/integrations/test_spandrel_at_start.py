"""A program that knows nothing of this package loads CSNLN after the installer has run."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch
from tiny_network import photograph, save_checkpoint

import csnln_mm
from csnln_mm.integrations.safetensors import export_safetensors
from csnln_mm.upscaling import Upscaler

pytest.importorskip('spandrel')

# As chaiNNer does: its own code and spandrel, nothing else.
HOST = """
import importlib.util
import sys
import torch
assert importlib.util.find_spec('spandrel')  # looked for before it is imported
from spandrel import ModelLoader
model = ModelLoader().load_from_file(sys.argv[1])
torch.save(model(torch.load(sys.argv[2])), sys.argv[3])
"""


@pytest.fixture(scope='module')
def python(tmp_path_factory):
    """The Python of a program: an environment of its own, in which this one's packages are."""
    folder = tmp_path_factory.mktemp('host')
    venv.create(folder, symlinks=True)
    python = folder / 'bin/python'
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, '-c', code], capture_output=True, text=True).stdout.strip()
    paths = [str(Path(csnln_mm.__file__).parents[1]), *(path for path in sys.path if path)]
    Path(packages, 'all.pth').write_text('\n'.join(paths))
    return python


def run(python, *arguments):
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    return subprocess.run([python, *arguments], capture_output=True, text=True, env=environment)


def test_a_program_loads_csnln_once_it_is_installed(python, tmp_path):
    save_checkpoint(tmp_path / 'a.pth', num_recurrences=2)
    export_safetensors(tmp_path / 'a.pth', tmp_path / 'a.safetensors')
    image = photograph()
    torch.save(torch.from_numpy(image).float().movedim(2, 0)[None] / 255, tmp_path / 'in.pt')
    files = [str(tmp_path / name) for name in ('a.safetensors', 'in.pt', 'out.pt')]
    installer = '-m', 'csnln_mm.integrations.spandrel_at_start'

    refused = run(python, '-c', HOST, *files)
    assert refused.returncode == 1 and 'UnsupportedModelError' in refused.stderr
    installed = run(python, *installer)
    assert installed.returncode == 0 and 'csnln_mm_spandrel.pth: programs' in installed.stdout
    done = run(python, '-c', HOST, *files)
    assert done.returncode == 0, done.stderr
    result = torch.load(tmp_path / 'out.pt')[0].movedim(0, -1).mul(255).round().byte().numpy()
    assert (result == Upscaler(files[0], device='cpu')(image)).all()
    own = 'from csnln_mm.integrations.spandrel import register; register()'
    assert run(python, '-c', own).stderr == ''
    # A start without spandrel imports nothing of this package but the installer.
    code = 'import sys; print("torch" in sys.modules, "csnln_mm.integrations" in sys.modules)'
    assert run(python, '-c', code).stdout == 'False True\n'
    assert run(python, *installer, '--remove').returncode == 0
    assert run(python, '-c', code).stdout == 'False False\n'
