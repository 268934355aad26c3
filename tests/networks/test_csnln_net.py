from functools import partial

import pytest
import torch
from golden import load_golden

from csnln_mm.checkpoints import convert_released_state_dict
from csnln_mm.networks import BicubicUpsampler, CSNLNNet
from csnln_mm.upscaling.chopping import chopped_forward


def small_net(**kwargs):
    torch.manual_seed(0)
    return CSNLNNet(**dict(dict(mid_channels=4, num_recurrences=2), **kwargs))


@pytest.mark.parametrize('scale', [2, 3, 4])
@torch.no_grad()
def test_equals_the_released_model(scale):
    golden, state_dict = load_golden(scale)
    converted = convert_released_state_dict(state_dict)
    sizes = converted._asdict()
    weights = sizes.pop('state_dict')
    net = CSNLNNet(**sizes).eval()
    net.load_state_dict(weights)
    same = partial(torch.testing.assert_close, rtol=0, atol=1e-5)
    same(net(golden['lr']), golden['sr'])
    for kind in 'cross_scale', 'in_scale':
        attention = getattr(net.cell.stages[0], f'{kind}_attention')
        same(attention(golden['feature'])[:, :16], golden[kind])
    # Of four pieces the last.
    bicubic = BicubicUpsampler(scale)
    pieces = iter([bicubic, bicubic, bicubic, net])
    chopped = chopped_forward(lambda piece: next(pieces)(piece), golden['chop_lr'], scale)
    height, width = (side // 2 * scale for side in golden['chop_lr'].shape[2:])
    same(chopped[..., -height:, -width:], golden['chop_sr'][..., -height:, -width:])


@pytest.mark.parametrize('scale, size', [(2, (1, 1)), (3, (1, 5)), (4, (7, 6))])
def test_upscales_any_size(scale, size):
    y = small_net(upscale_factor=scale)(torch.rand(2, 3, *size))
    assert y.shape == (2, 3, scale * size[0], scale * size[1])
    assert y.isfinite().all()


def test_checkpointing_changes_nothing():
    x = torch.rand(1, 3, 6, 5)
    results = []
    for with_cp in (False, True):
        net = small_net(with_cp=with_cp).double()
        y = net(x.double())
        y.square().sum().backward()
        results.append([y.detach(), *(p.grad for p in net.parameters())])
    torch.testing.assert_close(*results, rtol=0, atol=1e-12)


@pytest.mark.parametrize('num_recurrences', [1, 2])
def test_every_parameter_that_is_trained_bears_on_the_image(num_recurrences):
    """DistributedDataParallel stops at one that does not."""
    net = small_net(num_recurrences=num_recurrences)
    net(torch.rand(1, 3, 6, 5)).square().sum().backward()
    unused = {name for name, p in net.named_parameters() if p.grad is None}
    assert unused == {name for name, p in net.named_parameters() if not p.requires_grad}
    assert bool(unused) == (num_recurrences == 1)
    assert {name.split('.')[1] for name in unused} <= {'next_input'}


def test_without_weights_the_output_is_the_mean_or_the_bicubic_image():
    x = torch.rand(1, 3, 5, 4)
    bicubic = torch.nn.functional.interpolate(x, scale_factor=2, mode='bicubic')
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1).expand_as(bicubic)
    for image_skip, expected in ((False, mean), (True, bicubic)):
        net = small_net(image_skip=image_skip)
        torch.nn.init.zeros_(net.reconstruct.weight)
        torch.nn.init.zeros_(net.reconstruct.bias)
        torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize('skip', [False, True])
def test_all_hidden_states_make_the_image(skip):
    """The sum over recurrences is one convolution over their concatenation."""
    net = small_net(num_recurrences=3, recurrence_skip=skip).double()
    assert net.state_dict().keys() == small_net(num_recurrences=3).state_dict().keys()
    x = torch.rand(1, 3, 4, 6).double()
    features, hidden = net.head(x - net.mean), []
    for _ in range(3):
        following, state = net.cell(features)
        features = features + following if skip else following
        hidden.append(state)
    torch.testing.assert_close(net(x), net.reconstruct(torch.cat(hidden, 1)) + net.mean)


def test_no_next_input_is_made_for_a_recurrence_that_does_not_follow():
    net = small_net(num_recurrences=3)
    calls = []
    net.cell.next_input.register_forward_hook(lambda *_: calls.append(1))
    net(torch.rand(1, 3, 4, 6))
    assert len(calls) == 2


@pytest.mark.parametrize(
    'arguments',
    [
        dict(upscale_factor=5),
        dict(upscale_factor=2.0),
        dict(num_recurrences=0),
        dict(mid_channels=-1),
        dict(in_channels=1),
        dict(attention_recurrences=[]),
        dict(attention_recurrences=[3]),
        dict(attention_recurrences=[1], cell=dict(branches=['local'])),
        dict(attention_recurrences=[1], cell=dict(branches=['in_scale'])),
    ],
)
def test_refuses_arguments_out_of_range(arguments):
    with pytest.raises(ValueError):
        small_net(**arguments)


def test_grey_images_have_their_own_mean():
    net = small_net(in_channels=1, out_channels=1, rgb_mean=[0.44])
    assert net(torch.rand(1, 1, 4, 4)).shape == (1, 1, 8, 8)


@pytest.mark.parametrize('scale', [2, 4])
@pytest.mark.parametrize(
    'fusion', ['MutualProjectedFusion', 'AdditionFusion', 'ConcatenationFusion']
)
def test_attention_in_chosen_recurrences(fusion, scale):
    """In the others the cell is the local branch of its last stage, with the same weights."""
    options = dict(num_recurrences=3, upscale_factor=scale, cell=dict(fusion=dict(type=fusion)))
    net = small_net(attention_recurrences=[2], **options).double()
    assert net.state_dict().keys() == small_net(**options).state_dict().keys()
    x = torch.rand(1, 3, 4, 6).double()
    features, hidden = net.head(x - net.mean), []
    last = net.cell.stages[-1].fusion
    for recurrence in 1, 2, 3:
        if recurrence == 2:
            features, state = net.cell(features)
        else:
            state = last.upsample(features)
            if fusion == 'ConcatenationFusion':
                state = last.conv(torch.cat([state, torch.zeros_like(state.repeat(1, 2, 1, 1))], 1))
            features = net.cell.next_input(state)
        hidden.append(state)
    torch.testing.assert_close(net(x), net.reconstruct(torch.cat(hidden, 1)) + net.mean)


@pytest.mark.parametrize('upscale_factor', [2, 3, 4])
@pytest.mark.parametrize('branches', [('local',), ()])
@pytest.mark.parametrize('skip', [False, True])
def test_the_receptive_radius_is_how_far_gradients_reach(upscale_factor, branches, skip):
    cell = dict(branches=branches)
    network = small_net(upscale_factor=upscale_factor, cell=cell, recurrence_skip=skip)
    radius = network.receptive_radius
    center = radius + 2
    x = torch.rand(1, 3, 2 * center + 1, 2 * center + 1, requires_grad=True)
    window = slice(center * upscale_factor, (center + 1) * upscale_factor)
    network(x)[..., window, window].sum().backward()
    reached = x.grad.abs().sum((0, 1)).nonzero() - center
    assert reached.abs().max() == radius


def test_attention_in_all_recurrences_is_the_default_and_has_no_receptive_radius():
    nets = small_net(), small_net(attention_recurrences=[1, 2])
    x = torch.rand(1, 3, 4, 6)
    assert torch.equal(nets[0](x), nets[1](x)) and nets[0].receptive_radius is None
