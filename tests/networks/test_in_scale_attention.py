import pytest
import torch

from csnln_mm import ops
from csnln_mm.networks import InScaleNonLocalAttention, build_network


@pytest.mark.parametrize('size', [(1, 1), (4, 3)])
def test_attends_to_the_whole_map(size):
    torch.manual_seed(0)
    module = build_network(dict(type='InScaleNonLocalAttention', in_channels=4)).double()
    x = torch.randn(2, 4, *size).double()
    expected = ops.in_scale_attention_reference(module.query(x), module.key(x), module.value(x))
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)


def test_regions_attend_to_themselves_alone():
    torch.manual_seed(0)
    module = InScaleNonLocalAttention(4, grid=(2, 3)).double()
    whole = InScaleNonLocalAttention(4).double()
    whole.load_state_dict(module.state_dict())
    x = torch.randn(1, 4, 5, 7).double()
    bands = ([whole(x) for x in band.tensor_split(3, -1)] for band in x.tensor_split(2, -2))
    expected = torch.cat([torch.cat(band, -1) for band in bands], -2)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)


def test_a_map_smaller_than_the_grid_has_fewer_regions():
    module = InScaleNonLocalAttention(4, grid=(4, 4))
    assert module(torch.randn(1, 4, 2, 3)).shape == (1, 4, 2, 3)


@pytest.mark.parametrize('grid', [(0, 1), (2,)])
def test_refuses_a_grid_that_is_none(grid):
    with pytest.raises(ValueError, match='grid'):
        InScaleNonLocalAttention(4, grid=grid)
