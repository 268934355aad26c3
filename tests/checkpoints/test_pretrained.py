"""The models that come with the package: found by name and by scale, and what is told of them."""

import numpy as np
import pytest
import torch
from tiny_network import save_pretrained

from csnln_mm.checkpoints import choose_pretrained, list_pretrained, load_network, pretrained
from csnln_mm.errors import UserError

ALL = list_pretrained()


@pytest.fixture
def models(tmp_path, monkeypatch):
    """x2 without and with attention, and x4, in place of those of the package."""
    save_pretrained(tmp_path / 'a.safetensors', 2)
    save_pretrained(tmp_path / 'b.safetensors', 2, ('local', 'cross_scale'))
    save_pretrained(tmp_path / 'c.safetensors', 4)
    monkeypatch.setattr(pretrained, 'WEIGHTS', tmp_path)


def test_what_is_known_of_a_model_is_in_its_file(models):
    a, b, c = list_pretrained()
    assert (a.name, a.scale, a.with_attention) == ('a', 2, False)
    assert (b.with_attention, c.scale) == (True, 4)
    assert a.parameters == sum(p.numel() for p in load_network('a').parameters())
    assert a.scores == {'Set5': (30.5, 0.9)}
    assert (a.licence, a.training_data, a.training) == ('Apache-2.0', 'photographs', '10 steps')


@pytest.mark.parametrize('scale, name', [(None, 'a'), (0.5, 'a'), (2, 'a'), (2.1, 'c'), (8, 'c')])
def test_a_scale_gets_the_smallest_model_of_that_or_the_next_larger_one(models, scale, name):
    assert choose_pretrained(scale).name == name


def test_with_attention(models, tmp_path):
    assert choose_pretrained(4, with_attention=True).name == 'b'
    (tmp_path / 'b.safetensors').unlink()
    with pytest.raises(UserError, match='no model with attention comes with the package'):
        choose_pretrained(2, with_attention=True)


def test_lossy_files_have_models_of_their_own(models, tmp_path):
    save_pretrained(tmp_path / 'd.safetensors', 2, made_for='lossy files')
    assert [m.name for m in list_pretrained() if m.for_lossy] == ['d']
    assert [choose_pretrained(2, lossy=lossy).name for lossy in (False, True)] == ['a', 'd']
    assert choose_pretrained(4, lossy=True).name == 'c'
    # Resized, that for a larger factor does better than one that is not made for them.
    save_pretrained(tmp_path / 'e.safetensors', 4, made_for='lossy files')
    assert choose_pretrained(3, lossy=True).name == 'e'


def test_a_file_goes_before_a_model_and_a_wrong_name_gets_advice(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pretrained.checkpoint_path('a') == tmp_path / 'a.safetensors'
    (tmp_path / 'a').touch()
    assert str(pretrained.checkpoint_path('a')) == 'a'
    with pytest.raises(UserError, match='d is neither a checkpoint file nor a model .* a, b, c'):
        load_network('d')


def test_the_package_has_a_model():
    assert ALL and choose_pretrained(2).scale == 2


@pytest.mark.parametrize('model', ALL, ids=lambda model: model.name)
def test_each_sharpens_an_edge(model):
    """An upscaled step of brightness rises within fewer pixels than the bicubic one."""
    assert model.licence and model.training_data and model.training
    x = torch.full((1, 3, 12, 12), 0.2)
    x[..., 6:] = 0.8
    scale = model.scale
    with torch.no_grad():
        sharp = load_network(model.name)(x)[0].mean((0, 1))
    middle = slice(3 * scale, 9 * scale)
    bicubic = torch.nn.functional.interpolate(x, scale_factor=scale, mode='bicubic')[0].mean((0, 1))
    slope, bicubic_slope = (np.diff(line[middle]).max() for line in (sharp, bicubic))
    assert slope > 1.1 * bicubic_slope
