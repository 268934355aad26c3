"""A module within a network of MMagic, by config."""

import copy

import mmagic.models.editors.edsr  # noqa: F401
import mmagic.models.editors.rdn  # noqa: F401
import pytest
import torch
from mmagic.registry import MODELS

SMALL = dict(in_channels=3, out_channels=3, mid_channels=4, num_blocks=2, upscale_factor=2)
EDSR = dict(SMALL, type='EDSRNet')
RDN = dict(SMALL, type='RDNNet', num_layers=2, channel_growth=2)


def extended(network, after):
    module = dict(type='CrossScaleEnhancer', channels=4)
    return MODELS.build(dict(type='ExtendedNetwork', network=network, after=after, module=module))


def test_it_is_the_network_itself():
    network = extended(EDSR, 'body')
    assert type(network).__name__ == 'EDSRNet' and network.upscale_factor == 2
    assert network(torch.rand(1, 3, 9, 11)).shape == (1, 3, 18, 22)


def test_the_module_works_on_what_the_part_puts_out():
    torch.manual_seed(0)
    network = extended(EDSR, 'body')
    x = torch.rand(1, 4, 8, 8)
    blocks, module = network.body[:-1], network.body[-1]
    assert torch.equal(network.body(x), module(blocks(x)))
    assert not torch.equal(network.body(x), blocks(x))


def test_weights_of_the_plain_network_load_into_a_sequential_part():
    network = extended(EDSR, 'body')
    missing, unexpected = network.load_state_dict(MODELS.build(EDSR).state_dict(), strict=False)
    assert not unexpected
    assert missing and all(key.startswith('body.2.') for key in missing)


@pytest.mark.parametrize('config, after', [(EDSR, 'conv_after_body'), (RDN, 'gff.1')])
def test_another_part_becomes_a_sequential(config, after):
    network = extended(config, after)
    part = network.get_submodule(after)
    assert [type(x).__name__ for x in part] == ['Conv2d', 'CrossScaleEnhancer']
    assert {f'{after}.0.weight', f'{after}.1.downsample.0.weight'} <= network.state_dict().keys()
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 16, 16)


def test_copies_are_independent():
    """As for the moving average of a generator's weights."""
    network = extended(EDSR, 'body')
    other = copy.deepcopy(network)
    x = torch.rand(1, 3, 8, 8)
    before = other(x)
    with torch.no_grad():
        network.body[-1].attention.value[0].weight.zero_()
    assert torch.equal(other(x), before)


@pytest.mark.parametrize('after', ['trunk', 'body.7', ''])
def test_a_part_that_does_not_exist_is_refused(after):
    with pytest.raises(Exception, match=rf"no part '{after}', but conv_first, body"):
        extended(EDSR, after)


def test_a_list_is_refused():
    with pytest.raises(Exception, match='ModuleList'):
        extended(RDN, 'rdbs')
