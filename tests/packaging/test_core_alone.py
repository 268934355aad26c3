"""Upscaling, conversion and an attention figure where no OpenMMLab package can be imported."""

from command_line import run_code

CODE = """
import contextlib
import io
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('mmengine', 'mmcv', 'mmagic', 'mim'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


sys.meta_path.insert(0, Absent())

import numpy as np
import torch
from golden import load_golden
from PIL import Image

from csnln_mm.cli import main
from csnln_mm.images import read_image
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization.figures import attention_figure

torch.save(load_golden(2).state_dict, 'released.pt')
Image.fromarray(np.zeros((24, 30, 3), np.uint8)).save('a.png')
assert main(['convert', 'released.pt', 'ours.pth']) == 0
assert main(['upscale', 'a.png', '-n', 'ours.pth', '-g', 'cpu']) == 0
assert Image.open('a_x2.png').size == (60, 48)
figure = attention_figure(Upscaler('ours.pth', device='cpu'), read_image('a.png'), [(5, 5)])
for words in ['train', 'csnln_x2_demo.py'], ['test', 'csnln-x2-fast', '--data', '.']:
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        assert main(words) == 2
    (line,) = error.getvalue().splitlines()
    assert 'this command needs MMagic' in line and 'make env' in line
assert figure.shape[2] == 3 and len(np.unique(figure)) > 100 and 'matplotlib' in sys.modules
assert not any(name.startswith(('mmengine', 'mmcv', 'mmagic')) for name in sys.modules)
"""


def test_without_openmmlab(tmp_path):
    run_code(CODE, cwd=tmp_path)


def test_the_operators_need_torch_alone():
    """None in sys.modules stands for a package that is not installed."""
    run_code("""
import sys

import torch

absent = 'numpy PIL cv2 tifffile matplotlib rich safetensors mmagic mmengine mmcv'.split()
sys.modules.update(dict.fromkeys(absent))
from csnln_mm import ops
from csnln_mm.networks import CSNLNNet

assert ops.in_scale_attention(*torch.rand(3, 1, 2, 4, 4)).shape == (1, 2, 4, 4)
assert CSNLNNet(mid_channels=4, num_recurrences=1)(torch.rand(1, 3, 4, 5)).shape == (1, 3, 8, 10)
""")
