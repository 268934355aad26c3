import copy

import pytest
import torch
from torch import nn

from csnln_mm.mmagic.channels_last import train_channels_last
from csnln_mm.networks import build_network


def make_model(branches):
    torch.manual_seed(0)
    model = nn.Module()
    model.generator = build_network(
        dict(
            type='CSNLNNet',
            mid_channels=8,
            num_recurrences=2,
            image_skip=True,
            cell=dict(type='SEMCell', branches=branches),
        )
    )
    return model


def is_channels_last(network, x):
    """Whether the first convolution puts out channels last."""
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    found = []
    first.register_forward_hook(
        lambda _m, _x, y: found.append(y.is_contiguous(memory_format=torch.channels_last))
    )
    network(x)
    return found[0]


@pytest.mark.parametrize(
    'branches, training, expected',
    [(['local'], True, True), (['local'], False, False), (['local', 'cross_scale'], True, False)],
)
def test_networks_without_attention_train_channels_last(branches, training, expected):
    model = make_model(branches)
    train_channels_last(model)
    network = model.generator.train(training)
    assert is_channels_last(network, torch.rand(2, 3, 12, 12)) == expected
    assert all(p.is_contiguous() for p in network.parameters())


def losses(network, steps=20):
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    result = []
    for _ in range(steps):
        x, y = (torch.rand(2, 3, side, side, generator=generator) for side in (12, 24))
        loss = (network(x) - y).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return result


def test_losses_are_the_same():
    model = make_model(['local'])
    plain = copy.deepcopy(model.generator)
    train_channels_last(model)
    assert losses(model.generator.train()) == pytest.approx(losses(plain.train()), rel=1e-5)


def test_other_models_are_left_alone():
    model = nn.Sequential(nn.Conv2d(3, 3, 1))
    train_channels_last(model)
    assert not model._forward_pre_hooks
