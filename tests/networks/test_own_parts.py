"""The parts that CONTRIBUTING adds from outside of the package: its examples, run as they are."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_network import photograph, save_checkpoint

from csnln_mm import scales
from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.networks import CSNLNNet, build_network, register_part
from csnln_mm.networks.build import PARTS
from csnln_mm.networks.growth import change_scale
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization import extract_attention

PAGE = (Path(__file__).parents[2] / 'CONTRIBUTING.md').read_text()
BLOCKS = re.findall('```python\n(.*?)```', PAGE, re.S)
RECIPES = [block for block in BLOCKS if '_base_' not in block]
OWN_ATTENTION = dict(
    branches=['local', 'cross_scale'], cross_scale_attention=dict(type='GatedUpsampling')
)


@pytest.fixture(autouse=True)
def own_parts():
    """All three recipes, for the length of a test."""
    names = dict(__name__='outside_of_the_package', KERNELS=scales.KERNELS)
    before = [(registry, dict(registry)) for registry in (PARTS, scales.KERNELS)]
    assert len(RECIPES) == 3
    for recipe in RECIPES:
        exec(recipe, names)
    yield
    for registry, content in before:
        registry.clear()
        registry.update(content)


@pytest.mark.parametrize(
    'settings, size',
    [
        (dict(cell=OWN_ATTENTION, attention_recurrences=[2]), (5, 7)),
        (dict(cell=dict(type='ResidualCell', num_convs=1), recurrence_skip=True), (1, 6)),
        (dict(upscale_factor=8), (3, 9)),
        (dict(upscale_factor=8, cell=dict(type='ResidualCell')), (2, 2)),
    ],
    ids=['attention', 'cell', 'scale', 'cell at a scale'],
)
def test_a_network_with_them_trains_and_comes_back_from_its_checkpoint(settings, size, tmp_path):
    settings = dict(num_recurrences=2) | settings
    path = save_checkpoint(tmp_path / 'a.pth', **settings)
    network = load_network(path)
    assert isinstance(network, CSNLNNet)
    y = network(torch.rand(2, 3, *size))
    scale = settings.get('upscale_factor', 2)
    assert y.shape == (2, 3, *(scale * side for side in size))
    y.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_a_cell_says_what_a_network_asks_of_it():
    network = build_network(dict(mid_channels=4, num_recurrences=1, cell=dict(type='ResidualCell')))
    assert not network.has_attention and network.receptive_radius is None
    assert not network.cell.next_input[0].weight.requires_grad
    with pytest.raises(ValueError, match='attention_recurrences needs'):
        CSNLNNet(mid_channels=4, attention_recurrences=[1], cell=dict(type='ResidualCell'))
    with pytest.raises(ValueError, match='AdditionFusion is not a csnln_mm.networks.Cell'):
        CSNLNNet(mid_channels=4, cell=dict(type=lambda **_: PARTS['AdditionFusion'](4, scale=2)))


def test_an_attention_that_shows_no_weights_is_one_clear_line(tmp_path):
    upscaler = Upscaler(save_checkpoint(tmp_path / 'a.pth', cell=OWN_ATTENTION), tile=0)
    assert upscaler.network.has_attention
    image = ImageData(photograph().astype(np.uint8))
    with pytest.raises(UserError, match="the attention GatedUpsampling has no 'weights_at'"):
        extract_attention(upscaler, image, [(3, 4)])


def test_a_network_grows_to_the_scale():
    small, large = (
        CSNLNNet(
            mid_channels=4,
            num_recurrences=2,
            upscale_factor=scale,
            image_skip=True,
            cell=dict(branches=['local']),
        )
        for scale in (2, 8)
    )
    change_scale(large, small.state_dict())
    assert large(torch.rand(1, 3, 4, 5)).shape == (1, 3, 32, 40)


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match='sem_cell has registered a part SEMCell already'):
        register_part(type('SEMCell', (torch.nn.Module,), {}))
    assert PARTS['SEMCell'].__module__ == 'csnln_mm.networks.sem_cell'
