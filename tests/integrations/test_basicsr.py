"""A CSNLNNet trained by BasicSR's own trainer, where it is installed: its checkpoints load here.

``pip install --no-deps --no-build-isolation basicsr==1.4.2`` beside this package; it imports a
module that today's torchvision lacks, which the test puts in place.
"""

import importlib.util
import sys

import numpy as np
import pytest
import torch
import yaml
from command_line import run, run_code
from PIL import Image
from tiny_network import photograph

from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.upscaling import Upscaler

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('basicsr') is None, reason='BasicSR is not installed'
)

NETWORK = dict(
    mid_channels=6,
    num_recurrences=2,
    upscale_factor=2,
    image_skip=True,
    recurrence_skip=True,
    attention_recurrences=[1],
)
SETTINGS = dict(image_skip=True, recurrence_skip=True, attention_recurrences=[1])

TRAIN = """
import sys, types
import torchvision.transforms.functional as functional
old = types.ModuleType('torchvision.transforms.functional_tensor')
old.rgb_to_grayscale = functional.rgb_to_grayscale
sys.modules.setdefault(old.__name__, old)
from basicsr.utils.registry import ARCH_REGISTRY
from csnln_mm.networks import CSNLNNet
ARCH_REGISTRY.register(CSNLNNet)
from basicsr.train import train_pipeline
train_pipeline(sys.argv.pop())
"""


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """The folder of its checkpoints: after three steps, with a moving average."""
    folder = tmp_path_factory.mktemp('basicsr')
    for name, factor in ('gt', 2), ('lq', 1):
        (folder / name).mkdir()
        for i in range(2):
            image = Image.fromarray(photograph(40, 40, seed=i)).resize([20 * factor] * 2)
            image.save(folder / name / f'{i}.png')
    data = dict(
        name='tiny',
        type='PairedImageDataset',
        dataroot_gt=str(folder / 'gt'),
        dataroot_lq=str(folder / 'lq'),
        io_backend=dict(type='disk'),
        gt_size=16,
        use_hflip=True,
        use_rot=True,
        num_worker_per_gpu=0,
        batch_size_per_gpu=2,
        dataset_enlarge_ratio=4,
    )
    options = dict(
        name='csnln',
        model_type='SRModel',
        scale=2,
        num_gpu=0,
        manual_seed=0,
        datasets=dict(train=data),
        network_g=dict(type='CSNLNNet', **NETWORK),
        path=dict(strict_load_g=True),
        train=dict(
            ema_decay=0.5,
            optim_g=dict(type='Adam', lr=0.01),
            scheduler=dict(type='MultiStepLR', milestones=[100], gamma=0.5),
            total_iter=3,
            pixel_opt=dict(type='L1Loss', loss_weight=1.0, reduction='mean'),
        ),
        logger=dict(print_freq=1, save_checkpoint_freq=100, use_tb_logger=False),
    )
    (folder / 'options.yml').write_text(yaml.safe_dump(options))
    run_code(TRAIN, '-opt', folder / 'options.yml', folder, cwd=folder)
    return folder / 'experiments/csnln/models'


def test_the_moving_average_is_the_network(models):
    path = models / 'net_g_latest.pth'
    content = torch.load(path, weights_only=True)
    assert content.keys() == {'params', 'params_ema'}
    key = 'reconstruct.weight'
    assert not torch.equal(content['params'][key], content['params_ema'][key])
    for network in load_network(path, NETWORK), load_network(path, settings=SETTINGS):
        for key, value in network.state_dict().items():
            assert torch.equal(value, content['params_ema'][key]), key


def test_a_file_that_does_not_say_its_settings_asks_for_them(models):
    match = 'x2, 6 channels.*not image_skip, recurrence_skip, attention_recurrences: name'
    with pytest.raises(UserError, match=match):
        Upscaler(models / 'net_g_latest.pth')


def test_commands_read_it(models, tmp_path):
    Image.fromarray(photograph()).save(tmp_path / 'a.png')
    settings = '--settings', 'image_skip=True', 'recurrence_skip=True', 'attention_recurrences=1'

    def csnln(*arguments):
        run(sys.executable, '-m', 'csnln_mm', *arguments, cwd=tmp_path)

    path = str(models / 'net_g_latest.pth')
    csnln('export', path, '-o', 'a.safetensors', *settings)
    csnln('upscale', 'a.png', '-n', path, '-o', 'direct.png', *settings)
    csnln('upscale', 'a.png', '-n', 'a.safetensors', '-o', 'exported.png')
    direct, exported = (
        np.asarray(Image.open(tmp_path / f'{n}.png')) for n in ('direct', 'exported')
    )
    np.testing.assert_array_equal(direct, exported)
    expected = Upscaler(load_network(path, NETWORK), device='cpu')(photograph())
    np.testing.assert_array_equal(direct, expected)


def test_a_training_run_of_mmengine_begins_with_it(models):
    pytest.importorskip('mmengine')
    from mmengine.runner.checkpoint import CheckpointLoader

    from csnln_mm.mmagic.resume import use_safe_loading

    path = str(models / 'net_g_latest.pth')
    use_safe_loading(load_from=path)
    loaded = CheckpointLoader.load_checkpoint(path)
    expected = load_network(models / 'net_g_latest.pth', NETWORK).state_dict()
    assert loaded['state_dict'].keys() == {f'generator.{key}' for key in expected}
    for key, value in expected.items():
        assert torch.equal(loaded['state_dict'][f'generator.{key}'], value), key


def test_spandrel_names_what_is_open(models):
    spandrel = pytest.importorskip('spandrel')
    from csnln_mm.integrations.spandrel import register

    register()
    with pytest.raises(UserError, match='not image_skip, .*; csnln export then writes a file'):
        spandrel.ModelLoader().load_from_file(models / 'net_g_latest.pth')
