"""MMagic 1.2 with current packages: stand-ins for what it cannot import.

MMagic imports all of its models at once, among them diffusion models that want the diffusers and
transformers of 2023, and video models that want the compiled operators of mmcv. Importing this
module before MMagic lets it import without them::

    import csnln_mm.compatibility
    import mmagic.models

A part of MMagic is tried first, and stays as it is wherever it can be imported. Otherwise every
class of it is a stand-in that raises :class:`ImportError` with the reason when it is made.

``python -m csnln_mm.compatibility SCRIPT ...`` runs a script that imports MMagic, such as a tool.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import io
import re
import runpy
import sys
import types
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path

# Parts of MMagic that need more than mmcv and mmengine, beside every editor.
_EDITORS = 'mmagic.models.editors'
_PARTS = (
    'mmagic.apis.inferencers.controlnet_animation_inferencer',
    'mmagic.datasets.transforms.albu_function',
    'mmagic.datasets.transforms.generate_assistant',
    'mmagic.evaluation.metrics.ppl',
    'mmagic.models.archs.attention_injection',
    'mmagic.models.diffusion_schedulers',
)

_reasons: dict[str, str] = {}
# 'diffusers', if it is installed but cannot be imported: MMagic's list then finds an empty one.
_broken: set[str] = set()


def stood_in() -> dict[str, str]:
    """The modules that are stood in for so far, each with the reason."""
    return dict(_reasons)


def summary() -> str:
    """Name the modules that stand-ins replace so far, in one line; '' if there are none."""
    if not _reasons:
        return ''
    return f'stand-ins for what MMagic cannot import here: {", ".join(sorted(_reasons))}'


def why_missing(name: str) -> str:
    """Say why MMagic lacks a type: the reason why a module that defines it was replaced.

    Args:
        name: of a class, such as 'SRGAN'.

    Returns:
        The reason; '' if no part that is stood in for defines such a class.
    """
    for module, reason in _reasons.items():
        spec = importlib.machinery.PathFinder.find_spec(
            module, getattr(sys.modules.get(module.rpartition('.')[0]), '__path__', None)
        )
        origin = Path(spec.origin) if spec and spec.origin else None
        files = [] if origin is None else [origin]
        if origin is not None and origin.name == '__init__.py':
            files = sorted(origin.parent.rglob('*.py'))
        if any(re.search(rf'^class {name}\b', file.read_text(), re.M) for file in files):
            return reason
    return ''


def install() -> None:
    """From now on, provide stand-ins for what MMagic imports and this environment lacks.

    Does nothing a second time, and nothing at all to imports of other packages.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # Before the ordinary finders: mmcv-lite has a folder mmcv/ops that cannot be imported.
        sys.meta_path.insert(0, _Finder())


def _stand_in(module: str, name: str) -> type:
    """A class that only raises when it is made: MMagic derives from some, registers others."""
    from torch import nn

    def __new__(cls: type, *args: object, **kwargs: object) -> None:
        raise ImportError(f'{name} cannot be used: {_reasons[module]}')

    return type(name, (nn.Module,), dict(__new__=__new__, __module__=module))


class _StandInModule(types.ModuleType):
    """A module whose every public name is a stand-in."""

    def __getattr__(self, name: str) -> type:
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        module = next(part for part in _parents(self.__name__) if part in _reasons)
        stand_in = _stand_in(module, name)
        setattr(self, name, stand_in)
        return stand_in


class _StandInLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _StandInModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__path__ = []


class _TryingLoader(Loader):
    """Loads the real module; where that fails, turns it into one of stand-ins."""

    def __init__(self, real: Loader) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        try:
            self.real.exec_module(module)
        except Exception as error:  # a package of another year fails in its own way
            name = module.__name__
            _reasons[name] = f'importing {name} failed: {type(error).__name__}: {error}'
            for other in [key for key in sys.modules if key.startswith(f'{name}.')]:
                del sys.modules[other]
            _unregister(name)
            for public in [key for key in vars(module) if not key.startswith('__')]:
                delattr(module, public)
            module.__class__ = _StandInModule


def _unregister(package: str) -> None:
    """Remove what a package registered before its import failed.

    Otherwise the registries would refuse it when it is imported again, in part, by another.
    """
    registry = sys.modules['mmagic.registry']  # MMagic's first import
    kinds = [x for x in vars(registry).values() if hasattr(x, 'build') and not isinstance(x, type)]
    for kind in kinds:
        for key, part in list(kind.module_dict.items()):
            module = getattr(part, '__module__', None) or ''
            # Python has removed the modules that failed on the way.
            failed = module.startswith('mmagic.') and module not in sys.modules
            if failed or package in _parents(module):
                del kind.module_dict[key]


class _ArchsLoader(Loader):
    """Loads ``mmagic.models.archs``, which lists all of diffusers, even what needs transformers."""

    def __init__(self, real: Loader) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        hidden = list(_not_importable())
        for package, name in hidden:
            setattr(package, name, None)  # which the list leaves out
        broken = sys.modules.pop('diffusers', None) if _broken else None
        try:
            self.real.exec_module(module)
        finally:
            for package, name in hidden:
                delattr(package, name)
            if broken is not None:
                sys.modules['diffusers'] = broken


def _not_importable() -> Iterator[tuple[types.ModuleType, str]]:
    """Yield what an installed diffusers offers and cannot import."""
    if importlib.machinery.PathFinder.find_spec('diffusers') is None:
        return
    try:
        packages = [importlib.import_module(f'diffusers.{x}') for x in ('models', 'pipelines')]
    except Exception:  # the parts of MMagic that need it tell why
        _broken.add('diffusers')
        return
    for package in packages:
        for offered in dir(package):
            try:
                getattr(package, offered)
            except Exception:  # a package of another year fails in its own way
                yield package, offered


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        _remove_empty_diffusers()
        if name == 'mmagic':
            import numpy

            numpy.bool8 = numpy.bool_  # a name of numpy 1, which mmagic.utils asks for
        elif any(parent in _reasons for parent in _parents(name)[1:]):
            return ModuleSpec(name, _StandInLoader(), is_package=True)
        elif name == 'mmcv.ops':
            if importlib.util.find_spec('mmcv._ext') is None:
                _reasons[name] = 'it needs the compiled operators of mmcv, which mmcv-lite lacks'
                return ModuleSpec(name, _StandInLoader(), is_package=True)
        elif name == 'diffusers':
            return _diffusers_for_mmagic()
        elif name == 'mmengine':
            # Imported by MMEngine; without a GPU it prints that there is none if CUDA_HOME is set.
            with contextlib.redirect_stderr(io.StringIO()):
                importlib.import_module('torch.utils.cpp_extension')
        elif name == 'mmagic.models.archs':
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            spec.loader = _ArchsLoader(spec.loader)
            return spec
        elif name in _PARTS or name.rpartition('.')[0] == _EDITORS:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is not None and spec.loader is not None:
                spec.loader = _TryingLoader(spec.loader)
            return spec
        return None


class _EmptyDiffusers(Loader):
    """``mmagic.models.archs`` lists what diffusers offers, and fails where there is none."""

    def exec_module(self, module: types.ModuleType) -> None:
        module.models = types.ModuleType('diffusers.models')
        module.pipelines = types.ModuleType('diffusers.pipelines')
        module.DiffusionPipeline = type('DiffusionPipeline', (), {})


def _diffusers_for_mmagic() -> ModuleSpec | None:
    # The list is made after the last import of archs; whoever else asks gets the usual error.
    there = not _broken and importlib.machinery.PathFinder.find_spec('diffusers')
    if there or not _archs_are_listing():
        return None
    return ModuleSpec('diffusers', _EmptyDiffusers())


def _remove_empty_diffusers() -> None:
    loader = getattr(getattr(sys.modules.get('diffusers'), '__spec__', None), 'loader', None)
    if isinstance(loader, _EmptyDiffusers) and not _archs_are_listing():
        del sys.modules['diffusers']


def _archs_are_listing() -> bool:
    spec = getattr(sys.modules.get('mmagic.models.archs'), '__spec__', None)
    return getattr(spec, '_initializing', False) and 'mmagic.models.archs.wrapper' in sys.modules


def _parents(name: str) -> list[str]:
    """The name itself and those of its packages, the longest first."""
    parts = name.split('.')
    return ['.'.join(parts[:end]) for end in range(len(parts), 0, -1)]


if __name__ == '__main__':
    importlib.import_module('csnln_mm.compatibility')  # under the name that others import it by
    if len(sys.argv) < 2:
        sys.exit('usage: python -m csnln_mm.compatibility SCRIPT ...')
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name='__main__')
else:
    install()
