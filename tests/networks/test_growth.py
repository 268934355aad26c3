"""Networks that grow: what they compute stays, and what is added can learn."""

import copy

import pytest
import torch
from tiny_data import smooth_noise

from csnln_mm.checkpoints.network import read_network
from csnln_mm.images import downsample, psnr, upsample
from csnln_mm.networks import CSNLNNet, build_network
from csnln_mm.networks.growth import add_attention, add_recurrences, change_channels, change_scale
from csnln_mm.upscaling import Upscaler


def photograph(height=24, width=30, seed=1):
    """[1, 3, H, W] in 0..1."""
    return torch.from_numpy(smooth_noise(height, width, seed)).permute(2, 0, 1)[None] / 255


def assert_equal_but_for_order(large, small, x):
    """In float64: more channels, all of them zero, may be summed in another order."""
    results = (copy.deepcopy(net).double()(x.double()) for net in (large, small))
    torch.testing.assert_close(*results, rtol=0, atol=1e-12)


def network(branches=('local',), scale=2, **options):
    torch.manual_seed(0)
    cell = dict(branches=branches, stages=(scale,), **options.pop('cell', {}))
    options = dict(num_recurrences=2, image_skip=True) | options
    return CSNLNNet(mid_channels=8, upscale_factor=scale, cell=cell, **options)


@pytest.mark.parametrize(
    'options',
    [
        dict(branches=('local', 'cross_scale')),
        dict(branches=('local', 'cross_scale'), attention_recurrences=(1,)),
        dict(branches=('local', 'cross_scale'), scale=4, recurrence_skip=True),
        dict(branches=('local', 'in_scale')),
        dict(branches=('local', 'in_scale', 'cross_scale')),
        dict(branches=('local', 'in_scale', 'cross_scale'), cell=dict(fusion=dict(recipe='paper'))),
    ],
    ids=str,
)
def test_attention_changes_nothing_at_first_and_then_learns(options):
    of_both = {name: options[name] for name in ('scale', 'recurrence_skip') if name in options}
    small, large = network(**of_both), network(**options)
    x = photograph()
    assert not torch.equal(large(x), small(x))
    add_attention(large, small.state_dict(), [x])
    assert_equal_but_for_order(large, small, x)
    optimizer = torch.optim.Adam(large.parameters(), 1e-3)
    for _ in range(2):  # after the first step all that was silent speaks
        optimizer.zero_grad()
        large(x).square().mean().backward()
        optimizer.step()
    for name, parameter in large.named_parameters():
        if 'attention' in name and 'key.0.bias' not in name:  # the softmax takes out some biases
            assert parameter.grad.abs().max() > 0, name
    assert not torch.equal(large(x), small(x))


@pytest.mark.parametrize('skip', [False, True])
def test_more_recurrences_change_nothing_at_first_and_then_learn(skip):
    small, large = (network(num_recurrences=n, recurrence_skip=skip) for n in (2, 4))
    large.load_state_dict(add_recurrences(small.state_dict(), 4))
    x = photograph()
    assert_equal_but_for_order(large, small, x)
    large(x).square().mean().backward()
    assert all(part.abs().max() > 0 for part in large.reconstruct.weight.grad.chunk(4, 1))


@pytest.mark.parametrize('kind', ['in_scale', 'cross_scale'])
def test_the_attention_is_selective(kind):
    """The largest weight of a pixel, in means of all weights; without the start it is near 1."""
    large = network(('local', kind))
    attention = getattr(large.cell.stages[0], f'{kind}_attention')
    x = photograph(32, 32)

    def selectivity():
        weights = attention.weights_at(large.head(x - large.mean), [(9, 9), (20, 12)])
        return (weights.flatten(2).max(-1).values * weights[0, 0].numel()).min()

    flat = selectivity()
    add_attention(large, network().state_dict(), [x], gain=0.3)
    some = selectivity()
    add_attention(large, network().state_dict(), [x], gain=1.0)
    assert flat < 1.5 < some < selectivity()


def test_query_and_key_are_whitened_principal_components():
    large = network(('local', 'cross_scale'))
    x = photograph(40, 40)
    add_attention(large, network().state_dict(), [x], gain=1.0)
    features = []
    attention = large.cell.stages[0].cross_scale_attention
    attention.register_forward_pre_hook(lambda module, args: features.append(args[0]))
    large(x)
    keys = torch.cat([attention.query(f).flatten(2)[0] for f in features], 1)
    torch.testing.assert_close(torch.cov(keys), torch.eye(len(keys)), rtol=0, atol=1e-2)
    torch.testing.assert_close(keys.mean(1), torch.zeros(len(keys)), rtol=0, atol=1e-3)


@pytest.mark.parametrize('scale', [3, 4])
@torch.no_grad()
def test_another_scale_begins_above_bicubic(scale):
    """Before any training of its own; ``image_skip`` alone is bicubic."""
    small = read_network('csnln-x2-fast')
    large = build_network(dict(small.architecture, upscale_factor=scale))
    change_scale(large, small.weights)
    gt = smooth_noise(96, 96, 4)
    lq = downsample(gt, scale)
    result = Upscaler(large, device='cpu')(lq)
    assert psnr(result, gt, scale) > psnr(upsample(lq, scale), gt, scale) + 0.1


def test_back_and_forth_to_the_same_scale_is_the_identity():
    small, same = network(), network()
    change_scale(same, small.state_dict())
    for key, value in small.state_dict().items():
        torch.testing.assert_close(same.state_dict()[key], value, rtol=0, atol=1e-6)


def test_networks_that_cannot_grow():
    weights = network().state_dict()
    with pytest.raises(ValueError, match='a network with attention in a single stage'):
        add_attention(network(), weights, [])
    with pytest.raises(ValueError, match='by mutual projection'):
        fusion = dict(type='AdditionFusion')
        add_attention(network(('local', 'in_scale'), cell=dict(fusion=fusion)), weights, [])
    with pytest.raises(ValueError, match='do not fit the network: .*upsample'):
        add_attention(network(('local', 'in_scale')), network(scale=4).state_dict(), [])
    with pytest.raises(ValueError, match='more than their scale'):
        change_scale(network(('local', 'in_scale')), weights)


@pytest.mark.parametrize('options', [dict(image_skip=True), dict(image_skip=False)], ids=str)
@pytest.mark.parametrize('before, channels', [(3, 1), (3, 2), (3, 4), (3, 5), (1, 3)])
def test_other_channels_make_the_same_of_grey(options, before, channels):
    means = dict(in_channels=before, out_channels=before, rgb_mean=(0.45, 0.44, 0.40)[:before])
    small = network(**options, **means)
    architecture = dict(options, **means, mid_channels=8, num_recurrences=2)
    architecture['cell'] = dict(branches=('local',), stages=(2,))
    architecture, weights = change_channels(architecture, small.state_dict(), channels)
    large = build_network(architecture)
    large.load_state_dict(weights)
    grey = photograph()[:, :1].repeat(1, before, 1, 1)
    expected = small.double()(grey.double()).mean(1, keepdim=True)
    results = large.double()(grey[:, :1].repeat(1, channels, 1, 1).double())
    # Around an image the networks may see different colours: of a single band it holds within.
    inside = slice(16, -16) if channels == 1 else slice(None)
    for result in results.split(1, 1):
        difference = (result - expected)[..., inside, inside]
        assert difference.abs().max() < 1e-6
    assert (results - expected).abs().max() < 0.01
    shares = weights['head.0.0.weight'] * channels  # hardly differ from band to band
    torch.testing.assert_close(
        shares, shares.mean(1, keepdim=True).expand_as(shares), atol=0.1, rtol=0
    )
