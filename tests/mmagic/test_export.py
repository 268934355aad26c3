"""Exported files within MMagic: as load_from of a config, and made with one."""

from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_checkpoint as load_by_mmengine
from tiny_network import save_checkpoint

from csnln_mm.checkpoints import load_checkpoint, load_network
from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.integrations.safetensors import export_safetensors
from csnln_mm.mmagic.check_config import build_model
from csnln_mm.mmagic.generator import load_generator
from csnln_mm.mmagic.resume import check_checkpoint, find_start

same = partial(torch.testing.assert_close, rtol=0, atol=0)


@pytest.fixture
def files(tmp_path):
    """A checkpoint, its export, and its config."""
    path = save_checkpoint(tmp_path / 'a.pth', num_recurrences=2, attention_recurrences=[2])
    export_safetensors(path, tmp_path / 'a.safetensors')
    config = load_checkpoint(path)['meta']['cfg']
    (tmp_path / 'a.py').write_text(config[:-2] + ", pixel_loss=dict(type='L1Loss'))\n")
    return path, tmp_path / 'a.safetensors', tmp_path / 'a.py'


def build(config):
    with DefaultScope.overwrite_default_scope('mmagic'):
        return build_model(config.model, 'the config')


def test_load_from_takes_it_bit_for_bit(files):
    path, exported, config = files
    config = Config.fromfile(config)
    model = build(config)
    check_checkpoint(config, model, str(exported))
    load_by_mmengine(model, str(exported), strict=True)
    same(model.generator.state_dict(), load_network(path).state_dict())


def test_a_config_may_be_given_with_it_or_for_it(files, tmp_path):
    path, exported, config = files
    weights = load_network(path).state_dict()
    same(load_generator(str(config), str(exported)).state_dict(), weights)
    torch.save(weights, tmp_path / 'bare.pth')
    words = ['export', tmp_path / 'bare.pth', '-o', tmp_path / 'b.safetensors']
    assert main([str(word) for word in words]) == 2
    assert main([str(word) for word in [*words, '--config', config]]) == 0
    same(load_network(tmp_path / 'b.safetensors').state_dict(), weights)


def test_a_gan_starts_from_a_generator_alone(tmp_path):
    options = dict(upscale_factor=4, mid_channels=4, num_recurrences=1, image_skip=True)
    path = save_checkpoint(tmp_path / 'a.pth', **options)
    discriminator = dict(type='UNetDiscriminatorWithSpectralNorm', in_channels=3, mid_channels=4)
    gan = dict(
        type='RealESRGAN',
        generator=dict(options, type='CSNLNNet'),
        discriminator=discriminator,
        pixel_loss=dict(type='L1Loss'),
        is_use_ema=True,
    )
    config = Config(dict(model=gan, load_from=str(path), work_dir=str(tmp_path / 'work')))
    model = build(config)
    with torch.no_grad():
        for p in model.generator_ema.parameters():
            p.zero_()
    find_start(config, model)
    load_by_mmengine(model, str(path))
    weights = load_network(path).state_dict()
    same(model.generator.state_dict(), weights)
    same(model.generator_ema.state_dict(), weights)
    with pytest.raises(UserError, match='it lacks '):
        check_checkpoint(config, model, str(path))


def test_a_released_checkpoint_is_to_be_converted(tmp_path):
    path = tmp_path / 'a.pt'
    torch.save({'tail.0.weight': torch.zeros(1), 'tail.0.bias': torch.zeros(1)}, path)
    with pytest.raises(UserError, match=f'csnln convert {path}'):
        check_checkpoint(Config(dict(model={})), torch.nn.Module(), str(path))
