"""MMagic beside packages that it does not fit: what is stood in for, and what is left alone."""

import importlib
import subprocess
import sys
import textwrap

import pytest

from csnln_mm.mmagic import compatibility
from csnln_mm.mmagic.compatibility import MissingDependencyError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package of the given files that may be replaced; gives its name."""
    made = []

    def make(name, needs=('surely_absent',), **files):
        (tmp_path / name).mkdir()
        for file, text in {'__init__': '', **files}.items():
            (tmp_path / name / f'{file}.py').write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(str(tmp_path))
        for module in (name, *(f'{name}.{file}' for file in files)):
            monkeypatch.setitem(compatibility.OPTIONAL, module, needs)
        made.append(name)

    monkeypatch.setattr(compatibility._FINDER, 'replaced', dict(compatibility._FINDER.replaced))
    yield make
    for module in [m for m in sys.modules if m.partition('.')[0] in made]:
        del sys.modules[module]


def fresh(code, **options):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_can_be_imported_is_left_alone(package):
    package('fits', part='VALUE = 1')
    part = importlib.import_module('fits.part')
    assert part.VALUE == 1 and 'fits.part' not in compatibility.stood_in()
    assert not hasattr(part, 'Other')


def test_only_the_failing_module_is_replaced(package):
    package('half', good='VALUE = 1', bad='import surely_absent\nVALUE = 2')
    assert importlib.import_module('half.good').VALUE == 1
    importlib.import_module('half.bad')
    assert 'half.bad' in compatibility.stood_in()
    assert not {'half', 'half.good'} & set(compatibility.stood_in())


def test_modules_below_a_stand_in_are_stand_ins(package):
    package('broken', __init__='import surely_absent', deep='raise AssertionError("imported")')
    deep = importlib.import_module('broken.deep')
    with pytest.raises(MissingDependencyError, match=r'broken\.deep\.Thing needs surely_absent'):
        deep.Thing()


def test_other_modules_still_fail(package, tmp_path):
    package('listed')
    (tmp_path / 'listed/unlisted.py').write_text('import surely_absent')
    with pytest.raises(ModuleNotFoundError, match='surely_absent'):
        importlib.import_module('listed.unlisted')


@pytest.mark.parametrize(
    'error',
    [
        'from math import surely_absent',
        'raise RuntimeError("lazy import failed")',
        'import math; math.surely_absent',
    ],
)
def test_a_package_that_is_there_but_does_not_fit(package, error):
    package('too_new', needs=('math',), part=error)
    with pytest.raises(MissingDependencyError, match='another version of math'):
        importlib.import_module('too_new.part').Thing()


def test_an_interruption_is_not_a_missing_package(package):
    package('interrupted', __init__='raise KeyboardInterrupt')
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module('interrupted')


@pytest.fixture
def stand_in(package):
    package('absent', __init__='import surely_absent')
    return importlib.import_module('absent')


def test_construction_raises_and_names_the_package(stand_in):
    with pytest.raises(ImportError, match=r'absent\.Thing needs surely_absent, which is not inst'):
        stand_in.Thing(1, key=2)


def test_subclasses(stand_in):
    from torch import nn

    class Child(stand_in.First, stand_in.Second):
        def __init__(self):
            raise AssertionError('constructed')

    class Mixed(nn.Module, metaclass=type(nn.Module)):
        pass

    assert issubclass(Child, nn.Module) and not isinstance(Mixed(), stand_in.First)
    with pytest.raises(MissingDependencyError, match=r'Child \(through absent\.First\) needs'):
        Child()


def test_decorators_annotations_and_star_import(stand_in):

    @stand_in.decorator
    def function(argument: stand_in.Type) -> stand_in.Type:
        return argument

    @stand_in.decorator
    class Class:
        pass

    assert function(3) == 3 and isinstance(Class(), Class)
    namespace = {}
    exec('from absent import *', namespace)
    assert set(namespace) == {'__builtins__'}


def test_registry(stand_in):
    from mmengine.registry import Registry

    registry = Registry('compatibility')
    registry.register_module(module=stand_in.Thing)
    with pytest.raises(MissingDependencyError, match='surely_absent'):
        registry.build({'type': 'Thing'})


def test_a_name_is_always_the_same_class(stand_in):
    assert stand_in.Thing is stand_in.Thing
    with pytest.raises(AttributeError):
        stand_in.__wrapped__  # Asked for by inspect and doctest.


def test_installing_twice_changes_nothing():
    before = list(sys.meta_path)
    compatibility.install()
    assert sys.meta_path == before
    assert sum(isinstance(finder, compatibility._Finder) for finder in before) == 1


def test_it_needs_the_standard_library_alone():
    code = """
        import sys, types
        sys.modules['csnln_mm'] = package = types.ModuleType('csnln_mm')
        package.__path__ = ['csnln_mm']
        import csnln_mm.mmagic.compatibility
        print(sorted({'torch', 'numpy', 'mmengine', 'mmcv', 'mmagic'} & set(sys.modules)))
    """
    root = compatibility.__file__.rpartition('/csnln_mm/')[0]
    assert fresh(code, cwd=root) == '[]\n'


EVERYTHING = """
    import logging
    logging.basicConfig(format='%(message)s', stream=__import__('sys').stdout)
    logging.getLogger('csnln_mm').setLevel('INFO')
    FIRST
    import mmagic.models, mmagic.datasets, mmagic.evaluation, mmagic.engine, mmagic.apis
    import mmagic.visualization
    from mmagic.utils import register_all_modules
    register_all_modules()
    from mmagic.registry import DATASETS, METRICS, MODELS, TRANSFORMS
    for name in 'EDSRNet', 'ESRGAN', 'RealESRGAN', 'RRDBNet', 'SRCNNNet', 'RDNNet', 'SwinIRNet', \\
            'LIIF', 'NAFNet', 'Restormer', 'DataPreprocessor', 'BaseEditModel':
        assert MODELS.get(name).__module__.startswith('mmagic.models'), name
    for name in 'RandomBlur', 'RandomNoise', 'RandomJPEGCompression', 'DegradationsWithShuffle':
        assert TRANSFORMS.get(name), name
    assert METRICS.get('PSNR') and DATASETS.get('BasicImageDataset')
    import numpy
    print('file', mmagic.__file__)
    from csnln_mm.mmagic.compatibility import stood_in
    print('stood in', *stood_in())
    if 'mmcv.ops' in stood_in():
        from mmagic.models.editors import EDVRNet
        try:
            EDVRNet(3, 3)
        except ImportError as error:
            print(error)
        from mmcv.utils.env import collect_env
        print(collect_env()['MMCV Compiler'])
"""


@pytest.mark.parametrize(
    'first',
    [
        'import csnln_mm.mmagic.compatibility',
        'import csnln_mm',
        'import torch, numpy, mmcv, mmengine, mmagic; import csnln_mm',
    ],
)
def test_mmagic_imports(first):
    """Whole, in a fresh process, with whatever this environment has."""
    output = fresh(EVERYTHING.replace('FIRST', first))
    lines = output.splitlines()
    (path,) = (line for line in lines if line.startswith('file '))
    assert path.endswith('site-packages/mmagic/__init__.py'), 'something shadows MMagic'
    (replaced,) = (line.split()[2:] for line in lines if line.startswith('stood in'))
    told = [line for line in lines if line.startswith('MMagic is imported with stand-ins')]
    assert len(told) == bool(replaced)
    if importlib.util.find_spec('mmcv._ext') is None:
        assert 'mmcv with compiled operators' in told[0]
        assert 'needs mmcv with compiled operators, which is not installed' in output
        assert lines[-1] == 'not available'
    else:
        assert 'mmcv.ops' not in replaced
