"""Modules that keep the shape of features, to be put into any network."""

import pytest
import torch

from csnln_mm.errors import UserError
from csnln_mm.networks import CrossScaleEnhancer, SEMEnhancer, build_network


@pytest.mark.parametrize('enhancer', [CrossScaleEnhancer, SEMEnhancer])
@pytest.mark.parametrize('scale, size', [(2, (1, 1)), (3, (7, 10)), (4, (12, 12))])
def test_the_shape_stays(enhancer, scale, size):
    x = torch.rand(2, 6, *size)
    assert enhancer(6, scale=scale)(x).shape == x.shape


@pytest.mark.parametrize('enhancer', [CrossScaleEnhancer, SEMEnhancer])
def test_features_pass_and_all_weights_learn(enhancer):
    torch.manual_seed(0)
    module = enhancer(4)
    x = torch.rand(1, 4, 10, 10)
    (module(x) - x).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_arguments_reach_what_is_inside():
    config = dict(type='CrossScaleEnhancer', channels=4, attention=dict(patch_size=5))
    assert build_network(config).attention.patch_size == 5
    config = dict(type='SEMEnhancer', channels=4, cell=dict(branches=['in_scale']))
    assert not build_network(config).cell.stages[0].use_cross_scale


@pytest.mark.parametrize('enhancer', [CrossScaleEnhancer, SEMEnhancer])
def test_a_scale_that_does_not_exist_is_refused(enhancer):
    with pytest.raises(ValueError, match='5'):
        enhancer(4, scale=5)


@pytest.mark.parametrize('enhancer', [CrossScaleEnhancer, SEMEnhancer])
def test_features_of_another_form_are_one_line(enhancer):
    message = rf'{enhancer.__name__} has channels=4, but .* \[1, 6, 5, 5\], have 6$'
    with pytest.raises(UserError, match=message):
        enhancer(4)(torch.rand(1, 6, 5, 5))
    with pytest.raises(UserError, match=r'\[1, 25, 4\], such as the tokens of a transformer'):
        enhancer(4)(torch.rand(1, 25, 4))
