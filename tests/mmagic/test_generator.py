"""Networks of configs in the upscaler, and the upscaler's pixels beside MMagic's."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_network import photograph, save_checkpoint

from csnln_mm.errors import UserError
from csnln_mm.installed_configs import config_path
from csnln_mm.mmagic.generator import load_generator
from csnln_mm.upscaling import Upscaler, upscale

DEMO = config_path('csnln_x2_demo.py')


@pytest.fixture()
def checkpoint(tmp_path):
    path = save_checkpoint(tmp_path / 'tiny.pth')
    cfg = Config.fromfile(DEMO)
    cfg.model.generator.update(mid_channels=4, num_recurrences=1)
    cfg.model.test_cfg = dict(mode='tile', tile=32, overlap=8)
    cfg.dump(str(path.with_suffix('.py')))
    return path


def test_a_config_may_be_given(checkpoint, tmp_path):
    bare = tmp_path / 'bare.pth'
    torch.save(torch.load(checkpoint)['state_dict'], bare)
    generator = load_generator(str(checkpoint.with_suffix('.py')), str(bare))
    np.testing.assert_array_equal(
        Upscaler(generator, device='cpu')(photograph()),
        Upscaler(checkpoint, device='cpu')(photograph()),
    )


def test_a_config_that_does_not_fit(checkpoint):
    with pytest.raises(UserError, match='does not fit'):
        load_generator(DEMO, str(checkpoint))


@pytest.mark.filterwarnings('ignore')
def test_same_pixels_as_mmagics_inferencer(checkpoint, tmp_path):
    from mmagic.apis import MMagicInferencer

    Image.fromarray(photograph(50, 41)).save(tmp_path / 'a.png')
    inferencer = MMagicInferencer(
        'rdn',
        model_config=Config.fromfile(checkpoint.with_suffix('.py')),
        model_ckpt=str(checkpoint),
        device=torch.device('cpu'),
    )
    theirs = tmp_path / 'theirs' / 'a.png'
    inferencer.infer(img=str(tmp_path / 'a.png'), result_out_dir=str(theirs))
    (ours,) = upscale(
        [tmp_path / 'a.png'],
        tmp_path / 'ours',
        checkpoint=checkpoint,
        tile=32,
        overlap=8,
        device='cpu',
    )
    np.testing.assert_array_equal(
        np.asarray(Image.open(ours.target)), np.asarray(Image.open(theirs))
    )
