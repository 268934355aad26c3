"""MMagic imports beside today's packages, and what is there stays as it is."""

import sys

import pytest
from command_line import run as run_command
from command_line import run_code
from forked_code import ForkServer

# Only editors that name such a package themselves may be stood in for.
TABLE = """
from pathlib import Path
import mmagic.models.editors as editors
from csnln_mm.compatibility import stood_in
folders = [path.parent for path in Path(editors.__file__).parent.glob('*/__init__.py')]
missing = {name.rpartition('.')[2] for name in stood_in() if name.startswith(editors.__name__)}
assert len(folders) > 60 and missing <= {folder.name for folder in folders}
for folder in folders:
    text = ''.join(path.read_text() for path in folder.rglob('*.py'))
    named = [word for word in ('diffusers', 'transformers', 'lpips', 'clip', 'mmcv.ops')
             if word in text.lower()]
    assert folder.name not in missing or named, (folder.name, stood_in())
assert not any('already registered' in reason for reason in stood_in().values())
"""
LITE = 'importlib.util.find_spec("mmcv._ext") is None'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Runs code in a process of its own, since imports happen once."""
    with ForkServer(tmp_path_factory.mktemp('compatibility')) as server:
        yield lambda code: server.run(f'import importlib.util, sys\n{code}')


@pytest.mark.parametrize(
    'imports',
    [
        'import csnln_mm.compatibility, mmagic.models',
        'import mmengine, mmcv, csnln_mm.compatibility, mmagic.apis',
        'import csnln_mm.mmagic, mmagic.evaluation, mmagic.datasets',
        'import csnln_mm.mmagic.editor',
    ],
)
def test_mmagic_imports_in_any_order(run, imports):
    """And its networks for super-resolution are the real ones."""
    run(f"""
{imports}
from csnln_mm.compatibility import stood_in
from mmagic.utils import register_all_modules
register_all_modules()
import torch
from mmagic.registry import DATASETS, METRICS, MODELS, TRANSFORMS
for name in "EDSRNet RRDBNet RDNNet SwinIRNet SRCNNNet RealESRGAN ESRGAN".split():
    assert MODELS.get(name) and "editors." + name.lower()[:4] not in str(stood_in()), name
edsr = MODELS.build(dict(type="EDSRNet", in_channels=3, out_channels=3, mid_channels=4))
assert edsr(torch.rand(1, 3, 4, 4)).shape == (1, 3, 16, 16)
assert DATASETS.get("BasicImageDataset") and METRICS.get("PSNR") and TRANSFORMS.get("RandomNoise")
""")


def test_what_is_stood_in_for_raises_when_it_is_made_and_says_why(run):
    run(f"""
import csnln_mm.compatibility as compatibility
import mmagic.models
from mmagic.registry import MODELS
if {LITE}:
    from mmcv.ops import ModulatedDeformConv2d
    from mmcv.ops.fused_bias_leakyrelu import fused_bias_leakyrelu
    class Derived(ModulatedDeformConv2d):
        def __init__(self):
            pass
    for make in ModulatedDeformConv2d, fused_bias_leakyrelu, Derived:
        try:
            make()
        except ImportError as error:
            assert "compiled operators of mmcv" in str(error)
        else:
            raise AssertionError(make)
    assert "mmcv.ops" in compatibility.stood_in() and "mmcv.ops" in compatibility.summary()
for module, reason in compatibility.stood_in().items():
    assert module.startswith(("mmcv.ops", "mmagic.")) and reason
""")


def test_other_packages_see_nothing_of_it(run):
    run("""
there = importlib.util.find_spec("diffusers") is not None
import csnln_mm.compatibility
import mmagic.models
assert (importlib.util.find_spec("diffusers") is not None) == there
try:
    import diffusers.models
    assert there
except ImportError:
    assert not there
try:
    import no_such_package
except ModuleNotFoundError:
    pass
""")


def test_a_real_package_stays(run, tmp_path):
    """Compiled operators and a diffusers that can be imported are not stood in for."""
    for name, content in (('mmcv/_ext', ''), ('mmcv/ops', 'REAL = 1'), ('diffusers', 'REAL = 1')):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / '__init__.py').write_text(content)
    (tmp_path / 'mmcv/__init__.py').write_text('')
    run(f"""
sys.path.insert(0, {str(tmp_path)!r})
import csnln_mm.compatibility as compatibility
import diffusers, mmcv.ops
assert diffusers.REAL == mmcv.ops.REAL == 1 and not compatibility.stood_in()
assert compatibility.summary() == ""
""")


def test_it_costs_nothing():
    run_code("""
import sys, csnln_mm.compatibility
assert not {"torch", "numpy", "mmagic", "mmengine", "mmcv", "logging"} & set(sys.modules)
""")


def test_an_import_that_fails_leaves_no_half_registered_modules(run):
    """As an installed diffusers fails whose pipelines want transformers."""
    run(
        """
import types
broken = types.ModuleType('diffusers')
class Lazy(types.ModuleType):
    def __dir__(self):
        return ['NeedsMore', 'Only' + self.__name__.rpartition('.')[2]]
    def __getattr__(self, name):
        raise AttributeError(f'{name} needs more')
broken.__spec__ = importlib.util.spec_from_loader('diffusers', None)
broken.DiffusionPipeline = type('DiffusionPipeline', (), {})
for part in 'models', 'pipelines':
    lazy = Lazy(f'diffusers.{part}')
    setattr(lazy, f'Only{part}', type(f'Only{part}', (broken.DiffusionPipeline,), {}))
    setattr(broken, part, lazy)
    sys.modules[f'diffusers.{part}'] = lazy
sys.modules['diffusers'] = broken
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *more: (
    broken.__spec__ if name == 'diffusers' else find(name, *more)
)
import csnln_mm.compatibility as compatibility
import mmagic.models
from mmagic.registry import MODELS
for name in 'SRGAN ESRGAN EDSRNet BasicVSRNet'.split():
    assert MODELS.get(name), (name, compatibility.stood_in())
import importlib
for editor in compatibility.stood_in():
    if editor.endswith('fastcomposer'):
        assert compatibility.why_missing('FastComposer').startswith(f'importing {editor} failed')
assert compatibility.why_missing('EDSRNet') == ''
"""
        + TABLE
    )


def test_a_diffusers_that_cannot_be_imported_takes_nothing_else_along(run, tmp_path):
    """As 0.24 beside a huggingface_hub of later years."""
    (tmp_path / 'diffusers').mkdir()
    (tmp_path / 'diffusers/__init__.py').write_text('raise ImportError("no hf_cache_home")')
    run(
        f"""
sys.path.insert(0, {str(tmp_path)!r})
import csnln_mm.compatibility as compatibility
import mmagic.models
from mmagic.registry import MODELS
for name in 'SRGAN ESRGAN EDSRNet BasicVSRNet'.split():
    assert MODELS.get(name), (name, compatibility.stood_in())
assert 'no hf_cache_home' in compatibility.why_missing('AnimateDiff')
assert 'diffusers' not in sys.modules
"""
        + TABLE
    )


def test_no_line_about_cuda_where_there_is_none(run, tmp_path):
    output = run(f"""
import os
os.environ['CUDA_HOME'] = {str(tmp_path)!r}
assert 'torch.utils.cpp_extension' not in sys.modules
import csnln_mm.compatibility, mmengine
""")
    assert 'CUDA runtime' not in output


def test_a_script_of_mmagic_runs_with_the_stand_ins(tmp_path):
    """Installed once, also if it imports them itself."""
    script = tmp_path / 'tool.py'
    script.write_text("""
import sys
import csnln_mm.compatibility
print(__name__, *sys.argv, [type(finder).__name__ for finder in sys.meta_path].count("_Finder"))
""")
    words = sys.executable, '-m', 'csnln_mm.compatibility', script, '--option'
    assert run_command(*words) == f'__main__ {script} --option 1\n'
