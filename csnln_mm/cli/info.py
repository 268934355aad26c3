"""Print versions, devices and paths, for bug reports."""

import argparse
import importlib.metadata
import importlib.util
import platform
import sys
from pathlib import Path

PACKAGES = (
    'torch numpy pillow opencv-python opencv-python-headless tifffile matplotlib rich safetensors '
    'mmengine mmcv mmcv-lite mmagic diffusers transformers mediapipe'
).split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    import csnln_mm
    from csnln_mm.checkpoints.pretrained import WEIGHTS, list_pretrained
    from csnln_mm.installed_configs import config_path

    rows = {'csnln-mm': f'{csnln_mm.__version__}, {Path(csnln_mm.__file__).parent}'}
    rows['python'] = f'{platform.python_version()}, {sys.executable}'
    rows['system'] = platform.platform()
    for package in PACKAGES:
        try:
            rows[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            if package in ('torch', 'numpy', 'mmagic'):
                rows[package] = 'not installed'
    rows['devices'] = ', '.join(_devices())
    rows['stand-ins'] = _stand_ins()
    try:
        rows['configs'] = str(Path(config_path('csnln_x2_demo.py')).parent)
    except Exception as error:  # part of the report
        rows['configs'] = f'not found: {error}'
    names = ', '.join(model.name for model in list_pretrained())
    rows['weights'] = f'{WEIGHTS}: {names}'
    for name, value in rows.items():
        print(f'{name:<24}{value}')


def _devices() -> list[str]:
    import torch

    threads = torch.get_num_threads()
    devices = [f'cpu ({threads} thread{"s" * (threads != 1)})']
    for index in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        devices.append(f'cuda:{index} {torch.cuda.get_device_name(index)}, {memory:.0f} GiB')
    if torch.backends.mps.is_available():
        devices.append('mps')
    return devices


def _stand_ins() -> str:
    """List the modules that MMagic imports and that stand-ins replace here."""
    if importlib.util.find_spec('mmagic') is None:
        return 'MMagic is not installed; needed for training and testing only'
    from csnln_mm import compatibility

    compatibility.install()
    try:
        importlib.import_module('mmagic.models')
    except Exception as error:  # part of the report
        return f'MMagic cannot be imported: {type(error).__name__}: {error}'
    reasons = compatibility.stood_in()
    indent = '\n' + 24 * ' '
    return indent.join(f'{name}: {reasons[name]:.200}' for name in sorted(reasons)) or 'none'
