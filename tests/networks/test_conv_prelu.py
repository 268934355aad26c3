"""The resampling layers."""

import pytest
import torch

from csnln_mm.networks.conv_prelu import Upsample


@pytest.mark.parametrize('factor', [2, 3, 4])
@pytest.mark.parametrize('size', [(7, 5), (1, 1), (8, 5), (7, 6)])
def test_upsample_is_its_layers(factor, size):
    """Also where both sides are odd, for which it takes a way around."""
    upsample = Upsample(4, factor)
    x = torch.rand(2, 4, *size, requires_grad=True)
    y = upsample(x)
    expected = upsample[1](upsample[0](x))
    assert y.shape == (2, 4, factor * size[0], factor * size[1])
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
    weights = torch.rand_like(y)
    got, want = (torch.autograd.grad((z * weights).sum(), x)[0] for z in (y, expected))
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
