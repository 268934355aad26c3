"""What the tensors of a network show of it, and what has to be said."""

import pytest
import torch

from csnln_mm.checkpoints import load_network
from csnln_mm.checkpoints.from_tensors import infer_architecture, is_csnln
from csnln_mm.errors import UserError
from csnln_mm.networks import CSNLNNet

SETTINGS = dict(image_skip=True, recurrence_skip=False)
CELLS = [
    dict(),
    dict(branches=[]),
    dict(branches=[], num_plain_convs=2),
    dict(branches=['local']),
    dict(branches=['in_scale']),
    dict(branches=['cross_scale']),
    dict(branches=['in_scale', 'cross_scale']),
    dict(branches=['in_scale', 'cross_scale'], fusion=dict(type='AdditionFusion')),
    dict(branches=['local', 'cross_scale'], stages=[4]),
    dict(branches=['local', 'cross_scale'], fusion=dict(type='AdditionFusion')),
    dict(branches=['local', 'in_scale'], in_scale_attention=dict(embed_channels=3)),
    dict(fusion=dict(recipe='paper')),
    dict(fusion=dict(type='AdditionFusion')),
    dict(fusion=dict(type='ConcatenationFusion')),
]


def small(**settings):
    torch.manual_seed(0)
    return CSNLNNet(**dict(dict(mid_channels=4, num_recurrences=2), **settings)).eval()


def upscaled(network):
    with torch.inference_mode():
        return network(torch.linspace(0, 1, 3 * 7 * 8).view(1, 3, 7, 8))


@pytest.mark.parametrize('cell', CELLS, ids=str)
@pytest.mark.parametrize('scale', [2, 3, 4])
def test_the_network_is_read_from_its_tensors(tmp_path, cell, scale):
    if 'stages' in cell:
        cell = dict(cell, stages=[scale])
    network = small(upscale_factor=scale, cell=cell, image_skip=True)
    torch.save(network.state_dict(), tmp_path / 'a.pt')
    settings = dict(SETTINGS)
    if network.cell.attention_is_optional:
        settings['attention_recurrences'] = None
    loaded = load_network(tmp_path / 'a.pt', settings=settings)
    torch.testing.assert_close(upscaled(loaded), upscaled(network), rtol=0, atol=0)


@pytest.mark.parametrize(
    'given',
    [
        dict(SETTINGS, attention_recurrences=[2], recurrence_skip=True),
        dict(SETTINGS, attention_recurrences=None, patch_size=5, softmax_scale=1.0, divisor=2.0),
        dict(SETTINGS, attention_recurrences=None, in_scale_grid=[2, 2], rgb_mean=[0.1, 0.2, 0.3]),
    ],
)
def test_what_is_said_is_taken(tmp_path, given):
    cell = {key: given[key] for key in ('patch_size', 'in_scale_grid') if key in given}
    if 'softmax_scale' in given:
        keys = 'patch_size', 'softmax_scale', 'divisor'
        cell = dict(cross_scale_attention={key: given[key] for key in keys})
    known = 'image_skip', 'recurrence_skip', 'attention_recurrences', 'rgb_mean'
    network = small(cell=cell, **{key: given[key] for key in known if key in given})
    torch.save(network.state_dict(), tmp_path / 'a.pt')
    loaded = load_network(tmp_path / 'a.pt', settings=given)
    torch.testing.assert_close(upscaled(loaded), upscaled(network), rtol=0, atol=0)


def test_grey_images_need_their_mean(tmp_path):
    network = small(in_channels=1, out_channels=1, rgb_mean=[0.5], cell=dict(branches=['local']))
    weights = network.state_dict()
    with pytest.raises(UserError, match='but not rgb_mean: '):
        infer_architecture(weights, 'a.pt', SETTINGS)
    found = infer_architecture(weights, 'a.pt', dict(SETTINGS, rgb_mean=[0.5]))
    assert (found['in_channels'], found['out_channels'], found['rgb_mean']) == (1, 1, [0.5])


@pytest.mark.parametrize(
    'settings, given, missing',
    [
        (dict(), {}, 'image_skip, recurrence_skip, attention_recurrences'),
        (dict(cell=dict(branches=['local'])), {}, 'image_skip, recurrence_skip'),
        (dict(cell=dict(branches=['local']), num_recurrences=1), {}, 'image_skip'),
        (dict(), SETTINGS, 'attention_recurrences'),
    ],
)
def test_the_message_names_what_is_open_and_nothing_else(settings, given, missing):
    with pytest.raises(UserError, match=f'carries no config.*x2, 4 channels.*not {missing}: name'):
        infer_architecture(small(**settings).state_dict(), 'a.pt', given)


@pytest.mark.parametrize(
    'given, reason',
    [
        (dict(mid_channels=3), "'mid_channels' is no setting that its tensors leave open"),
        (dict(patch_size=3), "'patch_size' is no setting"),
        (dict(image_skip='yes'), "image_skip must be True or False, got 'yes'"),
    ],
)
def test_what_the_tensors_contradict_or_nobody_understands(given, reason):
    weights = small(cell=dict(branches=['local'])).state_dict()
    with pytest.raises(UserError, match=reason):
        infer_architecture(weights, 'a.pt', dict(SETTINGS, **given))


@pytest.mark.parametrize(
    'key, shape, reason',
    [
        ('head.0.0.weight', (0, 3, 3, 3), 'is no weight of a convolution'),
        ('reconstruct.weight', (3,), 'is no weight of a convolution'),
        ('reconstruct.weight', (3, 9, 3, 3), 'has 9 input channels, not a multiple of the 4'),
        ('cell.next_input.0.0.weight', (4, 4, 5, 5), 'has a kernel of side 5'),
        ('cell.stages.0.fusion.upsample.0.weight', (4, 4, 5, 5), 'does not fit'),
        ('cell.stages.0.cross_scale_attention.query.0.weight', (9, 1), 'no weight of a convol'),
        ('cell.stages.7.a', (1,), 'x2 in 2 stages'),
        ('cell.plain.0.0.weight', (1,), "'attention_recurrences' is no setting"),
        ('nonsense', (1,), 'nonsense'),
    ],
)
def test_damaged_tensors_are_one_line(tmp_path, key, shape, reason):
    weights = small().state_dict()
    weights[key] = torch.ones(shape)
    torch.save(weights, tmp_path / 'a.pt')
    with pytest.raises(UserError, match=f'a.pt.*{reason}'):
        load_network(tmp_path / 'a.pt', settings=dict(SETTINGS, attention_recurrences=None))


def test_other_networks_are_not_taken_for_it():
    assert is_csnln(small().state_dict())
    assert not is_csnln({'head.0.0.weight': torch.ones(1), 'reconstruct.weight': torch.ones(1)})
    assert not is_csnln({3: torch.ones(1)})
