"""Exported files within MMagic: as load_from of a config, and made with one."""

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
from csnln_mm.mmagic.resume import check_checkpoint


def same(a, b):
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture()
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


def test_load_from_refuses_settings_that_leave_no_trace(files):
    _, exported, config = files
    config = Config.fromfile(config)
    config.model.generator.image_skip = False
    with pytest.raises(UserError, match='it was trained with image_skip=True, not False'):
        check_checkpoint(config, build(config), str(exported))


def test_a_config_may_be_given_with_it_or_for_it(files, tmp_path):
    path, exported, config = files
    weights = load_network(path).state_dict()
    same(load_generator(str(config), str(exported)).state_dict(), weights)
    torch.save(weights, tmp_path / 'bare.pth')
    words = ['export', tmp_path / 'bare.pth', '-o', tmp_path / 'b.safetensors']
    assert main([str(word) for word in words]) == 2
    assert main([str(word) for word in [*words, '--config', config]]) == 0
    same(load_network(tmp_path / 'b.safetensors').state_dict(), weights)
