"""Convolutions with their PReLU, and the resampling layers."""

import pytest
import torch
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from csnln_mm.networks.conv_prelu import ConvPReLU, Downsample, Upsample


@pytest.mark.parametrize('slope', [0.25, -0.3, 1.7])
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    'layer', [ConvPReLU(4, 5), ConvPReLU(4, 3, 1), Downsample(4, 2), Upsample(4, 3), Upsample(4, 4)]
)
def test_both_at_once_in_inference_are_one_after_the_other(layer, memory_format, slope):
    layer = layer.to(memory_format=memory_format)
    torch.nn.init.constant_(layer[1].weight, slope)
    x = torch.randn(2, 4, 8, 6).contiguous(memory_format=memory_format)
    expected = layer[1](layer[0](x))
    with torch.inference_mode(), profile() as profiled:
        y = layer(x)
    torch.testing.assert_close(y, expected.detach(), rtol=1e-6, atol=1e-6)
    assert y.is_contiguous(memory_format=memory_format)
    names = {event.name for event in profiled.events()}
    assert any('_pointwise' in name for name in names) and 'aten::prelu' not in names, names


@torch.no_grad()
def test_whoever_looks_between_them_sees_them_one_after_the_other():
    layer, x = ConvPReLU(4, 5), torch.rand(1, 4, 6, 7)
    seen = []
    handle = layer[0].register_forward_hook(lambda *call: seen.append(call[-1]))
    expected = layer(x)
    handle.remove()
    torch.testing.assert_close(layer[1](seen[0]), expected)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 5 * 4 * 9 * 42
    with torch.autocast('cpu', torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


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
