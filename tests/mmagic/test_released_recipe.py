"""Training here follows the losses of the released code, step by step.

In steps 1 and 2 the loss tells of the network, its gradient and Adam's first step; later ones of
all that Adam remembers. By default there are as many as a few seconds allow;
``CSNLN_TEST_TRAJECTORY=20`` takes all 20.
"""

import os

import pytest
import torch
from golden import load_trajectory
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from short_training import ROOT

from csnln_mm.checkpoints import convert_released_state_dict

STEPS = int(os.environ.get('CSNLN_TEST_TRAJECTORY', 0))


@pytest.mark.parametrize('scale, steps', [(2, 5), (3, 3), (4, 3)])
def test_losses_are_those_of_the_released_code(scale, steps):
    cfg = Config.fromfile(ROOT / f'configs/csnln_x{scale}_div2k.py')
    cfg.model.generator.num_recurrences = 2
    # The inputs are in 0..1 already, and a rounding more or less shows after ten steps.
    cfg.model.data_preprocessor.std = [1.0, 1.0, 1.0]
    expected, state_dict, batches = load_trajectory(scale)
    steps = STEPS or steps
    losses = []
    with DefaultScope.overwrite_default_scope('mmagic'):
        model = MODELS.build(cfg.model)
        model.generator.load_state_dict(convert_released_state_dict(state_dict).state_dict)
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
        for lq, gt in batches:
            samples = [DataSample(gt_img=image) for image in gt]
            data = dict(inputs=list(lq), data_samples=samples)
            losses.append(model.train_step(data, optimizer)['loss'].item())
            if len(losses) == steps:
                break
    torch.testing.assert_close(losses, expected[:steps], rtol=1e-4, atol=0)
