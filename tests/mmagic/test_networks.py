"""The binding of the core's networks to MMagic's registry."""

import copy
import pickle

import torch
from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from csnln_mm import networks as core
from csnln_mm.mmagic import networks as bound
from csnln_mm.mmagic.resume import use_safe_loading
from csnln_mm.networks import build
from csnln_mm.networks.build import PARTS

SMALL = dict(type='CSNLNNet', mid_channels=4, num_recurrences=2)


@MODELS.register_module()
class OwnFusion(core.AdditionFusion):
    """A fusion that only MMagic's registry knows."""


@MODELS.register_module()
class OwnAttention(nn.Module):
    def __init__(self, in_channels, scale):
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, in_channels, scale, scale)

    def forward(self, x):
        return self.up(x)


@MODELS.register_module()
class OwnCell(bound.SEMCell):
    """A cell that only MMagic's registry knows."""


def test_every_network_is_registered_under_its_name():
    for name in PARTS:
        assert MODELS.get(name) is getattr(bound, name)
        assert issubclass(MODELS.get(name), (getattr(core, name), BaseModule))


def test_the_same_keys_and_the_same_output_as_the_core():
    net = MODELS.build(SMALL)
    plain = core.build_network(SMALL)
    assert isinstance(net, core.CSNLNNet)
    assert net.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(net.state_dict())
    x = torch.rand(1, 3, 4, 5)
    assert torch.equal(net(x), plain(x))


def test_parts_of_ones_own_are_found_in_the_registry():
    cell = dict(
        type='OwnCell',
        fusion=dict(type='OwnFusion'),
        cross_scale_attention=dict(type='OwnAttention'),
    )
    config = dict(SMALL, cell=cell)
    before = copy.deepcopy(config)
    net = MODELS.build(config)
    assert config == before
    assert isinstance(net.cell, OwnCell)
    assert isinstance(net.cell.stages[0].fusion, OwnFusion)
    assert isinstance(net.cell.stages[0].cross_scale_attention, OwnAttention)
    assert net(torch.rand(1, 3, 4, 5)).shape == (1, 3, 8, 10)


def test_a_part_that_the_core_learns_of_later(monkeypatch):
    monkeypatch.setattr(build, 'PARTS', dict(PARTS))
    monkeypatch.setattr(bound, 'PARTS', build.PARTS)

    @core.register_part
    class LateFusion(core.AdditionFusion):
        pass

    net = MODELS.build(dict(SMALL, cell=dict(fusion=dict(type='LateFusion'))))
    fusion = net.cell.stages[0].fusion
    assert isinstance(fusion, LateFusion) and isinstance(fusion, BaseModule)
    assert type(pickle.loads(pickle.dumps(fusion))) is type(fusion)
    MODELS.module_dict.pop('LateFusion')
    del bound.LateFusion


def test_init_cfg_at_any_depth(tmp_path):
    use_safe_loading(load_from='another.pth')  # as within a run
    weights = MODELS.build(SMALL).state_dict()
    torch.save(weights, tmp_path / 'weights.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    net = MODELS.build(dict(SMALL, init_cfg=pretrained))
    net.init_weights()
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())

    constant = dict(type='Constant', layer='Conv2d', val=0.25)
    net = MODELS.build(dict(SMALL, cell=dict(init_cfg=constant)))
    net.init_weights()
    assert (net.cell.stages[0].fusion.projection[0].weight == 0.25).all()
    assert not (net.reconstruct.weight == 0.25).any()


def test_copies_and_pickles():
    net = MODELS.build(SMALL)
    for other in copy.deepcopy(net), pickle.loads(pickle.dumps(net)):
        assert type(other) is bound.CSNLNNet
        assert torch.equal(other.reconstruct.weight, net.reconstruct.weight)
