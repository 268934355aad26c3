"""Networks of configs in the upscaler, and the upscaler's pixels beside MMagic's."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from PIL import Image
from short_training import assert_same
from tiny_network import close, photograph, save_checkpoint

from csnln_mm.checkpoints import load_network
from csnln_mm.checkpoints.network import read_network
from csnln_mm.errors import UserError
from csnln_mm.installed_configs import config_path
from csnln_mm.mmagic.generator import load_generator
from csnln_mm.mmagic.resume import use_safe_loading
from csnln_mm.upscaling import Upscaler

DEMO = config_path('csnln_x2_demo.py')


@pytest.fixture
def checkpoint(tmp_path):
    path = save_checkpoint(tmp_path / 'tiny.pth')
    cfg = Config.fromfile(DEMO)
    cfg.model.generator.update(mid_channels=4, num_recurrences=1)
    cfg.model.test_cfg = dict(mode='tile', tile=32, overlap=8)
    cfg.dump(str(path.with_suffix('.py')))
    return path


def test_a_model_of_the_package_by_its_name(checkpoint):
    """Its weights have the network's names, the model's begin with ``generator.``."""
    cfg = Config.fromfile(checkpoint.with_suffix('.py'))
    architecture = read_network('csnln-x2-fast').architecture
    cfg.model.generator = dict(rgb_mean=[0.4488, 0.4371, 0.4040], **architecture)
    cfg.dump(str(checkpoint.with_name('fast.py')))
    generator = load_generator(str(checkpoint.with_name('fast.py')), 'csnln-x2-fast')
    assert_same(generator.state_dict(), load_network('csnln-x2-fast').state_dict())
    use_safe_loading(load_from='csnln-x2-fast')
    loaded = CheckpointLoader.load_checkpoint('csnln-x2-fast')  # as Runner.load_from does
    assert loaded['state_dict'].keys() == {f'generator.{k}' for k in generator.state_dict()}


def test_a_config_that_does_not_fit(checkpoint):
    with pytest.raises(UserError, match='does not fit'):
        load_generator(DEMO, str(checkpoint))


@pytest.mark.filterwarnings('ignore')
def test_same_pixels_as_mmagics_inferencer(checkpoint, tmp_path):
    from mmagic.apis import MMagicInferencer

    Image.fromarray(photograph(50, 41)).save(tmp_path / 'a.png')
    # What MMEngine's runner writes, and torch reads only without ``weights_only``.
    logs = dict(log_scalars=dict(loss=HistoryBuffer([0.1], [1])))
    torch.save(dict(torch.load(checkpoint), message_hub=logs), checkpoint)
    inferencer = MMagicInferencer(
        'rdn',
        model_config=Config.fromfile(checkpoint.with_suffix('.py')),
        model_ckpt=str(checkpoint),
        device=torch.device('cpu'),
    )
    theirs = tmp_path / 'theirs' / 'a.png'
    inferencer.infer(img=str(tmp_path / 'a.png'), result_out_dir=str(theirs))
    ours = Upscaler(checkpoint, tile=32, overlap=8, device='cpu')(photograph(50, 41))
    # A rounding: the networks have their weights in two memory formats.
    close(ours, np.asarray(Image.open(theirs)), 1)
