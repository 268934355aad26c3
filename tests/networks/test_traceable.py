"""A network as one graph: by torch.export and torch.compile without a break."""

import pytest
import torch

from csnln_mm.networks import CSNLNNet, SEMEnhancer
from csnln_mm.networks.traceable import set_traceable

newest = pytest.mark.skipif(
    tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 14),
    reason='what can be traced differs from torch to torch',
)


def network(scale=2, **settings):
    torch.manual_seed(0)
    return CSNLNNet(mid_channels=4, num_recurrences=1, upscale_factor=scale, **settings).eval()


@pytest.mark.parametrize(
    'scale, cell', [(2, {}), (3, dict(patch_size=5, in_scale_grid=(2, 3))), (4, {})]
)
def test_the_result_is_the_same(scale, cell):
    net, x = network(scale, cell=cell), torch.rand(2, 3, 9, 8)
    expected = net(x)
    assert set_traceable(net) is net
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-5)
    set_traceable(net, False)
    assert torch.equal(net(x), expected)


@newest
@torch.no_grad()
def test_export_for_any_size_without_attention():
    net = set_traceable(network(cell=dict(branches=['local']), image_skip=True))
    shapes = ({2: torch.export.Dim('height'), 3: torch.export.Dim('width')},)
    exported = torch.export.export(net, (torch.rand(1, 3, 9, 8),), dynamic_shapes=shapes).module()
    for side in 5, 40:
        x = torch.rand(1, 3, side, 31)
        torch.testing.assert_close(exported(x), net(x), rtol=0, atol=1e-6)


@newest
def test_export_for_any_number_of_images():
    net, x = set_traceable(network()), torch.rand(3, 3, 9, 8)
    shapes = ({0: torch.export.Dim('batch')},)
    exported = torch.export.export(net, (x,), dynamic_shapes=shapes).module()
    for images in x, x[:1]:
        torch.testing.assert_close(exported(images), net(images), rtol=0, atol=1e-6)


@newest
@pytest.mark.parametrize(
    'branches, step, sizes',
    [(['local'], 1, [(9, 8), (16, 7)]), (['local', 'cross_scale'], 2, [(8, 6), (6, 12)])],
)
def test_export_for_any_size(branches, step, sizes):
    """With attention any multiple of the scale: other sizes are padded, which is another graph."""
    net = set_traceable(network(image_skip=True, cell=dict(branches=branches)))
    height, width = (step * torch.export.Dim(name, min=2, max=1024) for name in ('h', 'w'))
    x = torch.rand(2, 3, 10, 12)
    exported = torch.export.export(net, (x,), dynamic_shapes=({2: height, 3: width},)).module()
    for size in sizes:
        x = torch.rand(2, 3, *size)
        torch.testing.assert_close(exported(x), net(x), rtol=0, atol=1e-6)


@newest
def test_compile_without_a_break():
    """Also the gradients: the attention is differentiated by autograd."""
    module = SEMEnhancer(4, scale=2)
    x = torch.rand(2, 4, 6, 8)
    expected = torch.autograd.grad(module(x).square().mean(), list(module.parameters()))
    torch._dynamo.reset()
    compiled = torch.compile(set_traceable(module), backend='eager', fullgraph=True)
    actual = torch.autograd.grad(compiled(x).square().mean(), list(module.parameters()))
    for a, e in zip(actual, expected):
        torch.testing.assert_close(a, e, rtol=1e-4, atol=1e-6)
