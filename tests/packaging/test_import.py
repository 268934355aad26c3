"""What importing costs."""

import subprocess
import sys


def output_of(code):
    done = subprocess.run(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_operators_need_no_toolbox_and_are_there_at_once():
    """None in sys.modules stands for a package that is not installed. Torch is imported anyway."""
    seconds = output_of("""
import sys, time
import torch
sys.modules.update(mmagic=None, mmengine=None, mmcv=None, cv2=None, PIL=None)
start = time.perf_counter()
import csnln_mm.ops
seconds = time.perf_counter() - start
out = csnln_mm.ops.in_scale_attention(*torch.rand(3, 1, 2, 4, 4))
assert out.shape == (1, 2, 4, 4)
print(seconds)
""")
    assert float(seconds) < 2


def test_registering_the_components_leaves_mmagics_models_alone():
    """They take several seconds, which only the config of an editor is worth."""
    output_of("""
import sys
import csnln_mm
assert 'mmagic.registry' in sys.modules
assert not {'mmagic.models', 'mmagic.apis', 'csnln_mm.apis'} & set(sys.modules)
""")
