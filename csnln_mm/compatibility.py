"""(temporary)"""

import importlib.abc
import importlib.machinery
import sys
import types


def install():
    import numpy

    if not hasattr(numpy, 'bool8'):
        numpy.bool8 = numpy.bool_
    if any(isinstance(f, _F) for f in sys.meta_path):
        return
    sys.meta_path.insert(0, _F())


_NAMES = (
    'mmcv.ops',
    'diffusers',
    'albumentations',
    'face_alignment',
    'facexlib',
    'mediapipe',
    'lpips',
    'resize_right',
    'clip',
    'transformers',
    'huggingface_hub',
    'mmagic.models.diffusion_schedulers',
    'mmagic.models.archs.attention_injection',
    'controlnet_aux',
) + tuple(
    'mmagic.models.editors.' + n
    for n in 'animatediff controlnet disco_diffusion stable_diffusion stable_diffusion_inpaint stable_diffusion_tomesd stable_diffusion_xl dreambooth textual_inversion vico fastcomposer ddpm eg3d guided_diffusion arcface glide'.split()
)


class _F(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == n or name.startswith(n + '.') for n in _NAMES):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        m = _M(spec.name)
        m.__path__ = []
        return m

    def exec_module(self, m):
        pass


class _M(types.ModuleType):
    def __getattr__(self, n):
        if n.startswith('__'):
            raise AttributeError(n)
        import torch

        return type(n, (torch.nn.Module,), {})
