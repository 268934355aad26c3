"""``make env`` on a copy of this checkout's shell, with two small packages for pins."""

import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = 'Makefile setup.cfg pyproject.toml README.md LICENSE CITATION.cff requirements/install'
UV = shutil.which('uv') or shutil.which(ROOT / 'build/uv/bin/uv')

pytestmark = pytest.mark.skipif(UV is None, reason='uv is not installed')


def write_wheel(folder, name, version, files):
    """``files``: bytes by the path in the wheel, without RECORD."""
    information = f'{name}-{version}.dist-info'
    files[f'{information}/METADATA'] = f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
    files[f'{information}/WHEEL'] = 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
    record = ''.join(f'{path},,\n' for path in [*files, f'{information}/RECORD'])
    with zipfile.ZipFile(folder / f'{name}-{version}-py3-none-any.whl', 'w') as wheel:
        for path, content in dict(files, **{f'{information}/RECORD': record}).items():
            wheel.writestr(path, content)


@pytest.fixture(scope='module')
def wheels(tmp_path_factory):
    """A folder with two versions of a package, and setuptools, which installs the checkout."""
    folder = tmp_path_factory.mktemp('wheels')
    for version in '1', '2':
        write_wheel(folder, 'tiny', version, {'tiny.py': f'version = {version}\n'})
    setuptools = importlib.metadata.distribution('setuptools')
    files = {
        str(path): path.read_binary()
        for path in setuptools.files
        if path.suffix != '.pyc' and path.parts[0] != '..' and path.locate().is_file()
    }
    kept = {path: x for path, x in files.items() if not path.endswith(('RECORD', 'INSTALLER'))}
    write_wheel(folder, 'setuptools', setuptools.version, kept)
    return folder


class Checkout:
    """A checkout in a folder, and an environment beside it."""

    def __init__(self, folder, wheels, name='checkout'):
        self.root, self.env = folder / name, folder / 'env'
        for path in [*COPIED.split(), 'csnln_mm/__init__.py', 'csnln_mm/version.py']:
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target)
        self.pin(1)
        self.variables = dict(
            PATH=f'{Path(UV).parent}{os.pathsep}{os.environ["PATH"]}',
            HOME=str(folder),
            PYTHON=sys.executable,
            UV_OFFLINE='1',
            UV_FIND_LINKS=str(wheels),
        )

    def pin(self, version):
        setuptools = importlib.metadata.version('setuptools')
        pins = f'setuptools=={setuptools}\ntiny=={version}\n'
        (self.root / 'requirements/newest.txt').write_text(pins)

    def start(self):
        return subprocess.Popen(
            ['make', '-s', 'env', f'VENV={self.env}'],
            cwd=self.root,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def make(self):
        """(exit status, output)"""
        process = self.start()
        output = process.communicate(timeout=120)[0]
        return process.returncode, output

    def python(self, code):
        command = [self.env / 'bin/python', '-c', code]
        done = subprocess.run(
            command, cwd=self.env, env=self.variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def checkout(tmp_path, wheels):
    return Checkout(tmp_path, wheels)


def test_it_is_made_once_and_anew_for_other_pins(checkout):
    status, output = checkout.make()
    assert status == 0 and 'making' in output, output
    assert checkout.python('import tiny; print(tiny.version)') == '1\n'
    assert (checkout.env / 'bin/csnln').exists()
    assert checkout.make() == (0, '')
    (checkout.env / 'left over').touch()
    checkout.pin(2)
    assert checkout.make()[0] == 0
    assert checkout.python('import tiny; print(tiny.version)') == '2\n'
    assert not (checkout.env / 'left over').exists()


def test_a_killed_one_is_made_anew(checkout):
    process = checkout.start()
    assert 'making' in process.stdout.readline()
    os.killpg(process.pid, 9)
    process.communicate()
    assert (checkout.env / '.csnln-env').read_text() == ''
    (checkout.env / 'half').touch()
    status, output = checkout.make()
    assert status == 0 and 'making' in output, output
    assert checkout.python('import tiny') == '' and not (checkout.env / 'half').exists()


def test_the_second_of_two_waits(checkout):
    with open(f'{checkout.env}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = checkout.start()
        assert 'waiting for another process' in process.stdout.readline()
        assert not checkout.env.exists()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0 and 'making' in output


def test_a_folder_of_something_else_is_left_alone(checkout):
    checkout.env.mkdir()
    (checkout.env / 'precious').write_text('data')
    status, output = checkout.make()
    assert status != 0 and f'{checkout.env} holds something else; name another' in output
    assert [path.name for path in checkout.env.iterdir()] == ['precious']


def test_two_checkouts_share_one(checkout, tmp_path, wheels):
    assert checkout.make()[0] == 0
    other = Checkout(tmp_path, wheels, 'other')
    assert other.make() == (0, '')
    code = 'import importlib.util; print(importlib.util.find_spec("csnln_mm").origin)'
    assert checkout.python(code) == f'{other.root}/csnln_mm/__init__.py\n'


def test_a_python_that_is_not_there(checkout):
    checkout.variables['PYTHON'] = '/nowhere/python'
    status, output = checkout.make()
    assert status != 0 and '/nowhere/python' in output and not checkout.env.exists()
