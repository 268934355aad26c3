"""Networks from plain data."""

import pytest
import torch
from torch import nn

from csnln_mm.networks import CSNLNNet, SEMCell, build_network


def test_a_csnln_by_default_and_any_network_by_type():
    assert isinstance(build_network(dict(mid_channels=4, num_recurrences=1)), CSNLNNet)
    assert isinstance(build_network(dict(type='SEMCell', mid_channels=4)), SEMCell)


def test_parts_are_named_within_the_config_which_is_left_as_it_is():
    config = dict(
        mid_channels=4,
        cell=dict(
            fusion=dict(type='AdditionFusion'),
            cross_scale_attention=dict(patch_size=5),
            in_scale_attention=dict(grid=(2, 2)),
        ),
    )
    before = repr(config)
    stage = build_network(config).cell.stages[0]
    assert type(stage.fusion).__name__ == 'AdditionFusion'
    assert stage.cross_scale_attention.patch_size == 5
    assert stage.in_scale_attention.grid == (2, 2)
    assert repr(config) == before


def test_an_attention_of_ones_own():
    class Nearest(nn.Module):
        def __init__(self, in_channels, scale):
            super().__init__()
            self.scale = scale

        def forward(self, x):
            return nn.functional.interpolate(x, scale_factor=self.scale)

    cell = SEMCell(4, branches=['cross_scale'], cross_scale_attention=dict(type=Nearest))
    x = torch.rand(1, 4, 3, 5)
    assert torch.equal(cell(x)[1], nn.functional.interpolate(x, scale_factor=2))


@pytest.mark.parametrize('name', ['os.system', 'build_network', 'nn'])
def test_plain_data_choose_nothing_but_our_networks(name):
    for config in (
        dict(type=name),
        dict(cell=dict(type=name)),
        dict(cell=dict(fusion=dict(type=name))),
    ):
        with pytest.raises(ValueError, match='csnln_mm.networks has no'):
            build_network(config)
