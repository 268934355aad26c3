"""Other dtypes, memory formats, and the machinery of training around the operators."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from attention_inputs import (
    assert_close,
    cross_scale_inputs,
    in_scale_inputs,
    random_maps,
    with_gradients,
)
from torch.utils.checkpoint import checkpoint

from csnln_mm import ops

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 4e-2, torch.float16: 4e-3}


@pytest.fixture(params=['cross_scale', 'in_scale'])
def case(request):
    """Operator, its reference implementation, and what makes inputs of a dtype. The size is odd."""
    if request.param == 'cross_scale':
        return (
            partial(ops.cross_scale_attention, scale=2, tile=(4, 6)),
            partial(ops.cross_scale_attention_reference, scale=2),
            lambda dtype: cross_scale_inputs((9, 10), 2, n=2, dtype=dtype),
        )
    return (
        partial(ops.in_scale_attention, tile=16),
        ops.in_scale_attention_reference,
        lambda dtype: in_scale_inputs((9, 10), n=2, dtype=dtype),
    )


@pytest.mark.parametrize('dtype', list(TOLERANCE))
def test_dtypes(case, dtype):
    """Against the reference in float64 on the same, already rounded numbers."""
    operator, reference, make_inputs = case
    inputs = make_inputs(dtype)
    actual = with_gradients(operator, inputs)
    assert [x.dtype for x in actual] == [dtype] * 4

    exact = [x.detach().double().requires_grad_() for x in inputs]
    # With the rounded output gradient that the operator got.
    grad = output_gradient(actual[0]).double()
    out = reference(*exact)
    assert_close(actual, [out, *torch.autograd.grad(out, exact, grad)], TOLERANCE[dtype])


def output_gradient(out):
    """That of with_gradients."""
    return random_maps([out.shape], out.dtype, seed=1)[0].detach()


def test_a_sample_does_not_see_its_batch(case):
    operator, _, make_inputs = case
    inputs = make_inputs(torch.float64)
    together = with_gradients(operator, inputs)
    grad = output_gradient(together[0])
    for i in range(2):
        sample = [x[i : i + 1].detach().requires_grad_() for x in inputs]
        out = operator(*sample)
        alone = [out, *torch.autograd.grad(out, sample, grad[i : i + 1])]
        assert_close(alone, [x[i : i + 1] for x in together], 1e-13)


def test_large_similarities_stay_finite(case):
    operator, _, make_inputs = case
    query, *others = make_inputs(torch.float32)
    actual = with_gradients(operator, [(query * 1e6).detach().requires_grad_(), *others])
    assert all(x.isfinite().all() for x in actual)


def test_mixed_dtypes(case):
    """Under autocast some inputs may be in 16 bits and others not."""
    operator, _, make_inputs = case
    query, key, value = make_inputs(torch.float32)
    inputs = query.detach().bfloat16().requires_grad_(), key, value
    actual = with_gradients(operator, inputs)
    assert [x.dtype for x in actual] == [torch.float32, torch.bfloat16] + 2 * [torch.float32]
    inputs = [x.detach().float().requires_grad_() for x in inputs]
    assert_close(actual[:1], with_gradients(operator, inputs)[:1], 1e-6)


class Attention(torch.nn.Module):
    """Both operators on 1x1 convolutions of a map, as in the network."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Conv2d(4, 3, 1)
        self.value = torch.nn.Conv2d(4, 4, 1)

    def forward(self, x):
        small = F.interpolate(x, [side // 2 for side in x.shape[2:]], mode='bilinear')
        embedded, value = self.embed(x), self.value(x)
        out = ops.cross_scale_attention(embedded, self.embed(small), value, scale=2)
        return out + F.interpolate(
            ops.in_scale_attention(embedded, embedded, value), scale_factor=2
        )


@pytest.fixture
def module():
    torch.manual_seed(0)
    return Attention()


def module_gradients(module, run=None):
    x = torch.linspace(-1, 1, 2 * 4 * 8 * 6).reshape(2, 4, 8, 6).sin().requires_grad_()
    # Not `run or module`: from torch 2.14 on a compiled module has no truth value.
    out = (module if run is None else run)(x)
    return [out, *torch.autograd.grad(out.float().square().mean(), [x, *module.parameters()])]


def test_autocast(module):
    expected = module_gradients(module)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = module_gradients(module)
    assert actual[0].dtype == torch.bfloat16
    assert_close(actual, expected, 2e-2)


def test_autocast_leaves_float32_inputs_alone(case):
    operator, _, make_inputs = case
    expected = with_gradients(operator, make_inputs(torch.float32))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = with_gradients(operator, make_inputs(torch.float32))
    assert all(torch.equal(a, e) for a, e in zip(actual, expected))


def test_memory_formats(case):
    """Channels last, slices of larger maps, expanded batches."""
    operator, _, make_inputs = case
    inputs = make_inputs(torch.float64)
    expected = with_gradients(operator, inputs)

    channels_last = [
        x.detach().to(memory_format=torch.channels_last).requires_grad_() for x in inputs
    ]
    slices = [F.pad(x.detach(), (2, 1, 1, 3))[..., 1:-3, 2:-1].requires_grad_() for x in inputs]
    for maps in (channels_last, slices):
        assert_close(with_gradients(operator, maps), expected, 1e-13)

    expanded = [x[:1].detach().expand(2, -1, -1, -1).requires_grad_() for x in inputs]
    assert torch.allclose(operator(*expanded)[1], expected[0][0])


def test_output_gradients_of_any_layout(case):
    operator, _, make_inputs = case
    inputs = make_inputs(torch.float64)
    out = operator(*inputs)
    expanded = torch.autograd.grad(out, inputs, torch.ones(()).double().expand(out.shape))
    out = operator(*inputs)
    dense = torch.autograd.grad(
        out, inputs, torch.ones_like(out).contiguous(memory_format=torch.channels_last)
    )
    assert_close(expanded, dense, 1e-13)


def test_two_runs_are_identical_and_leave_the_inputs_alone(case):
    operator, _, make_inputs = case
    inputs = make_inputs(torch.float32)
    first, second = (with_gradients(operator, inputs) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert all(torch.equal(x, y) for x, y in zip(inputs, make_inputs(torch.float32)))


def test_double_backward_is_refused(case):
    operator, _, make_inputs = case
    inputs = make_inputs(torch.float64)
    grads = torch.autograd.grad(operator(*inputs).square().sum(), inputs, create_graph=True)
    for grad in grads:
        with pytest.raises(RuntimeError, match='scale_attention can be differentiated only once'):
            torch.autograd.grad(grad.sum(), inputs[0], retain_graph=True)
    with pytest.raises(RuntimeError, match='scale_attention can be differentiated only once'):
        grads[0].sum().backward()


def test_shapes_without_numbers(case):
    """On the device 'meta', as on others that torch has no autocast for."""
    operator, _, make_inputs = case
    inputs = make_inputs(torch.float32)
    assert operator(*(x.to('meta') for x in inputs)).shape == operator(*inputs).shape


@pytest.mark.parametrize('use_reentrant', [True, False])
def test_checkpoint(module, use_reentrant):
    expected = module_gradients(module)
    x = torch.linspace(-1, 1, 2 * 4 * 8 * 6).reshape(2, 4, 8, 6).sin().requires_grad_()
    out = checkpoint(module, x, use_reentrant=use_reentrant)
    out.square().mean().backward()
    actual = [out, x.grad, *(p.grad for p in module.parameters())]
    assert all(torch.equal(a, e) for a, e in zip(actual, expected))


def test_inference_mode(case):
    operator, _, make_inputs = case
    inputs = make_inputs(torch.float32)
    with torch.inference_mode():
        out = operator(*inputs)
    assert torch.equal(out, operator(*inputs))


def test_compile(module):
    """With a graph break; the result is that without compilation."""
    compiled = torch.compile(module, backend='aot_eager')
    assert_close(module_gradients(module, compiled), module_gradients(module), 1e-5)
