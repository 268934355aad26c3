"""On CPUs a product with a denormal number takes up to a hundred times as long as another."""

import pytest
import torch
from attention_inputs import (
    assert_close,
    cross_scale_inputs,
    in_scale_inputs,
    random_maps,
    with_gradients,
)
from torch.utils._python_dispatch import TorchDispatchMode

from csnln_mm import ops

TINY = torch.finfo(torch.float32).tiny
OPERATORS = {
    'cross-scale': (
        ops.cross_scale_attention,
        ops.cross_scale_attention_reference,
        cross_scale_inputs((16, 12), 2, dtype=torch.float32),
        dict(scale=2),
    ),
    'in-scale': (
        ops.in_scale_attention,
        ops.in_scale_attention_reference,
        in_scale_inputs((16, 12), dtype=torch.float32),
        {},
    ),
}


class DenormalProducts(TorchDispatchMode):
    """Counts denormal numbers among the inputs of matrix products and of softmax's gradient."""

    def __init__(self):
        super().__init__()
        self.seen, self.denormal = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket._qualified_op_name.split('::')[1] in (
            'bmm',
            'baddbmm_',
            '_softmax_backward_data',
        ):
            for x in args:
                if isinstance(x, torch.Tensor):
                    self.seen += 1
                    self.denormal += int(((x != 0) & (x.abs() < TINY)).sum())
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _denormals():
    """Denormal numbers exist, even if a session of onnxruntime has switched them off."""
    torch.set_flush_denormal(False)


@pytest.fixture(params=OPERATORS)
def case(request):
    """An operator, its reference, and inputs that make its softmax range from 1 to beyond 1e-38."""
    operator, reference, (query, key, value), options = OPERATORS[request.param]
    # Rows of a steady rise: some weights of each are below the smallest normal number.
    gain = 12 if request.param == 'cross-scale' else 20
    query = (gain * query.detach()).requires_grad_()
    return operator, reference, (query, key, value), options


def count(operator, inputs, options):
    query, key, value = (x.detach().requires_grad_() for x in inputs)
    with DenormalProducts() as products:
        out = operator(query, key, value, **options)
        grad = random_maps([out.shape], out.dtype, seed=1)[0].detach()
        torch.autograd.grad(out, (query, key, value), grad)
    return products


def test_no_denormal_number_reaches_a_product(case):
    operator, _, inputs, options = case
    products = count(operator, inputs, options)
    assert products.seen > 6
    assert products.denormal == 0


def test_with_some_candidates_at_a_time():
    operator, _, (query, key, value), _ = OPERATORS['in-scale']
    products = count(operator, (20 * query, key, value), dict(tile=17))
    assert products.seen > 6
    assert products.denormal == 0


def test_the_plain_softmax_of_these_inputs_has_them(case):
    _, reference, inputs, options = case
    assert count(reference, inputs, options).denormal > 0


def test_results_and_gradients_are_those_of_the_reference(case):
    operator, reference, inputs, options = case
    double = [x.detach().double().requires_grad_() for x in inputs]
    expected = with_gradients(reference, double, **options)
    assert_close(with_gradients(operator, inputs, **options), expected, 3e-5)
