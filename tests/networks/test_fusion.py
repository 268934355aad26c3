import pytest
import torch

from csnln_mm.networks import build_network


def features(scale):
    torch.manual_seed(0)
    local = torch.randn(2, 4, 3, 5).double()
    in_scale, cross_scale = torch.randn(2, 2, 4, 3 * scale, 5 * scale).double()
    return local, in_scale, cross_scale


def build(name, **kwargs):
    torch.manual_seed(1)
    return build_network(dict(type=name, channels=4, **kwargs)).double()


@pytest.mark.parametrize('recipe', ['released', 'paper'])
def test_mutual_projection(recipe):
    local, in_scale, cross_scale = features(2)
    fusion = build('MutualProjectedFusion', scale=2, recipe=recipe)
    if recipe == 'released':
        residual = cross_scale - in_scale
        fused = in_scale + (residual + fusion.projection(residual))
    else:
        assert isinstance(fusion.projection, torch.nn.Conv2d)
        fused = fusion.projection(in_scale - cross_scale) + in_scale
    expected = fused + fusion.upsample(local - fusion.downsample(fused))
    torch.testing.assert_close(fusion(local, in_scale, cross_scale), expected)


def test_addition_and_concatenation():
    local, in_scale, cross_scale = features(3)
    addition = build('AdditionFusion', scale=3)
    torch.testing.assert_close(
        addition(local, in_scale, cross_scale), addition.upsample(local) + in_scale + cross_scale
    )
    concatenation = build('ConcatenationFusion', scale=3)
    side_by_side = torch.cat([concatenation.upsample(local), in_scale, cross_scale], 1)
    torch.testing.assert_close(
        concatenation(local, in_scale, cross_scale), concatenation.conv(side_by_side)
    )


@pytest.mark.parametrize('name', ['in_scale', 'cross_scale'])
def test_one_attention_branch_alone_is_the_result(name):
    x = torch.randn(1, 4, 6, 10)
    assert build('MutualProjectedFusion', scale=2, branches=[name])(**{name: x}) is x


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('MutualProjectedFusion', dict(scale=5), r'\[2, 3, 4\]'),
        ('AdditionFusion', dict(scale=5), r'\[2, 3, 4\]'),
        ('ConcatenationFusion', dict(scale=5), r'\[2, 3, 4\]'),
        ('MutualProjectedFusion', dict(scale=2, recipe='mine'), 'released'),
    ],
)
def test_what_does_not_exist_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, **options)
