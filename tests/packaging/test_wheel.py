"""The wheel, used in an empty folder as docs/installation.md says."""

import importlib.util
import os
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from command_line import run
from doc_pages import ROOT, blocks, commands
from forked_code import ForkServer
from tiny_data import make_demo

from csnln_mm.version import __version__

pytestmark = pytest.mark.slow

PAGE = blocks(ROOT / 'docs/installation.md', 'Without the repository')
SOURCES = (
    'csnln_mm configs docs requirements tests tools pyproject.toml setup.cfg MANIFEST.in README.md '
    'LICENSE CITATION.cff CONTRIBUTING.md Makefile model-index.yml .pre-commit-config.yaml'.split()
)
COMMANDS = [command for block in PAGE if block.language == 'bash' for command in commands(block)]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """(source distribution, wheel); the wheel is made from the source distribution.

    Those of the folder CSNLN_DIST, if it is set: what is about to be released.
    """
    if folder := os.environ.get('CSNLN_DIST'):
        return [next(Path(folder).glob(pattern)) for pattern in ('*.tar.gz', '*.whl')]
    source, dist = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('dist')
    # Building leaves files beside the sources.
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns('__pycache__', '_build')
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    build = '-m', 'build', '--no-isolation', '--outdir', dist, source
    run(sys.executable, *build, cwd=dist, PYTHONPATH='')
    (sdist,) = dist.glob('*.tar.gz')
    (wheel,) = dist.glob('*.whl')
    return sdist, wheel


def test_both_carry_version_licence_and_citation(built):
    sdist, wheel = built
    assert sdist.name == f'csnln_mm-{__version__}.tar.gz'
    assert wheel.name == f'csnln_mm-{__version__}-py3-none-any.whl'
    with tarfile.open(sdist) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    assert {'LICENSE', 'CITATION.cff', 'README.md', 'Makefile', 'model-index.yml'} <= names
    assert {'requirements/newest.txt', 'docs/conf.py', 'tests/helpers/tiny_data.py'} <= names
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f'csnln_mm-{__version__}.dist-info/METADATA').decode()
    assert any(name.endswith('LICENSE') for name in names)
    assert any(name.endswith('CITATION.cff') for name in names)
    assert f'Version: {__version__}\n' in metadata and 'Apache-2.0' in metadata


def test_the_wheel_holds_the_package_its_configs_and_its_tools(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = {name for name in archive.namelist() if '.dist-info' not in name}
    expected = {
        str(p.relative_to(ROOT))
        for p in (ROOT / 'csnln_mm').rglob('*.*')
        if p.is_file() and p.suffix != '.pyc' and '.mim' not in p.parts
    }
    for pattern in 'configs/**/*.py', 'configs/*.yml', 'tools/*.*', 'model-index.yml':
        expected |= {f'csnln_mm/.mim/{p.relative_to(ROOT)}' for p in ROOT.glob(pattern)}
    assert names == expected


@pytest.fixture(scope='module')
def installed(built, tmp_path_factory):
    """(folder of packages with the wheel in it, empty folder to work in)."""
    packages, empty = tmp_path_factory.mktemp('packages'), tmp_path_factory.mktemp('empty')
    install = '-m pip install --no-deps --no-index --target'.split()
    run(sys.executable, *install, packages, built[1], cwd=empty, PYTHONPATH='')
    return packages, empty


def test_it_is_the_installed_package_that_is_imported(installed):
    packages, empty = installed
    code = 'import csnln_mm; print(csnln_mm.__file__); print(csnln_mm.config_path("bicubic_x2.py"))'
    output = run(sys.executable, '-c', code, cwd=empty, PYTHONPATH=str(packages)).splitlines()
    assert output[-2:] == [
        f'{packages}/csnln_mm/__init__.py',
        f'{packages}/csnln_mm/.mim/configs/bicubic_x2.py',
    ]


# openmim needs pkg_resources, which setuptools dropped in version 82.
HAS_MIM = all(importlib.util.find_spec(name) for name in ('mim', 'pkg_resources'))


def without_mim(words, packages):
    """The tool that a command of mim runs, where mim finds it; None if it runs none."""
    verb, package, *arguments = words[1:]
    assert package == 'csnln-mm'
    if verb == 'search':
        return None
    # mim finds a config by its name alone, in whatever folder it is
    found = list(packages.glob(f'csnln_mm/.mim/configs/**/{arguments[0]}'))
    arguments[:1] = found or arguments[:1]
    arguments = [word for word in arguments if word != '--checkpoint' or verb != 'test']
    return [packages / f'csnln_mm/.mim/tools/{verb}.py', *arguments]


IMPORTS = """
import sys
sys.path.insert(0, {!r})
import csnln_mm.mmagic.runner, csnln_mm.mmagic.editor, mmagic.visualization
import matplotlib.backends.backend_agg, torch.utils.cpp_extension
"""


def run_tool(server, words, cwd):
    """Its output, of a process forked from one that has the wheel imported."""
    tool, *arguments = map(str, words)
    return server.run(f"""
import os, runpy, sys
os.chdir({str(cwd)!r})
sys.argv = {[tool, *arguments]!r}
runpy.run_path({tool!r}, run_name='__main__')
""")


def run_command(server, words, cwd):
    """The output of ``csnln``, in the same way."""
    return server.run(f"""
import os, sys
from csnln_mm.cli import main
os.chdir({str(cwd)!r})
sys.exit(main({words!r}))
""")


def with_little_work(words):
    """Where a command trains: nobody loads for it, single images are its batches."""
    if words[1] != 'train':
        return words
    options = dict(batch_size=1, num_workers=0, persistent_workers=False)
    words = [*words, *(() if '--cfg-options' in words else ['--cfg-options'])]
    return [*words, *(f'train_dataloader.{key}={value}' for key, value in options.items())]


def test_the_page(installed, tmp_path):
    """Every command of the page, in its order: data, training, test, enlarging, a recipe.

    Each verb of mim is used once; what it would run is run where it does not work, or again.
    """
    packages, empty = installed
    configs = [block.text for block in PAGE if block.language == 'python']
    assert len(configs) == 1
    (empty / 'mine.py').write_text(configs[0])
    make_demo(empty / 'data/demo', 96, 96)
    used = set()
    with ForkServer(tmp_path, IMPORTS.format(str(packages))) as server:
        for command in COMMANDS:
            if command.words[0] not in ('mim', 'csnln'):
                continue
            verb, words = command.words[1], with_little_work(command.words)
            if command.words[0] == 'csnln':
                output = run_command(server, words[1:], empty)
            elif HAS_MIM and verb not in used:
                output = run(*words, cwd=empty, PYTHONPATH=str(packages))
            elif words := without_mim(words, packages):
                output = run_tool(server, words, empty)
            else:
                continue
            used.add(verb)
            for name in 'csnln_mm', 'configs', 'tools':
                assert f'{ROOT}/{name}' not in output, 'something is taken from the checkout'
            if verb == 'test':
                assert 20 < float(re.search(r'PSNR: (\S+)', output).group(1)) < 50
            if verb == 'search':
                assert 'configs/csnln_x4_div2k.py' in output
    for name in ('csnln_x2_demo/iter_10.pth', 'edsr_cross_scale_x2/iter_2.pth', 'mine/iter_10.pth'):
        assert (empty / 'work_dirs' / name).exists()
    assert (empty / 'large.png').exists()
