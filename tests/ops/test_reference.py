"""The reference implementations equal forms that share no step with them, in any precision.

Plain loops over the equations are in test_equations.py.
"""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from attention_inputs import assert_close, cross_scale_inputs, in_scale_inputs, with_gradients
from convolutional_attention import convolutional_attention

from csnln_mm import ops


@pytest.mark.parametrize(
    'scale, patch_size, size', [(1, 3, (7, 5)), (2, 3, (7, 5)), (3, 5, (1, 1)), (4, 1, (8, 12))]
)
def test_cross_scale_values_and_gradients(scale, patch_size, size):
    inputs = cross_scale_inputs(size, scale, n=2)
    options = dict(scale=scale, patch_size=patch_size, softmax_scale=7.0, divisor=-2.5)
    assert_close(
        with_gradients(ops.cross_scale_attention_reference, inputs, **options),
        with_gradients(convolutional_attention, inputs, **options),
    )


def torchs_attention(query, key, value):
    """With positions as the sequence."""
    maps = (x.flatten(2).transpose(1, 2) for x in (query, key, value))
    out = F.scaled_dot_product_attention(*maps, scale=1.0)
    return out.transpose(1, 2).unflatten(2, query.shape[2:])


@pytest.mark.parametrize('sizes', [((1, 1), None), ((7, 5), None), ((4, 6), (3, 2))])
def test_in_scale_values_and_gradients(sizes):
    inputs = in_scale_inputs(*sizes, n=2)
    assert_close(
        with_gradients(ops.in_scale_attention_reference, inputs),
        with_gradients(torchs_attention, inputs),
    )


@pytest.mark.parametrize(
    'name, inputs, options',
    [
        ('cross_scale_attention', cross_scale_inputs((9, 10), 2), dict(scale=2)),
        ('in_scale_attention', in_scale_inputs((9, 10)), {}),
    ],
)
def test_sixteen_bits(name, inputs, options):
    """Similarities that 16 bits cannot tell apart decide a softmax in float32."""
    reference = partial(getattr(ops, f'{name}_reference'), **options)
    query, key, value = (x.detach().bfloat16() for x in inputs)
    inputs = 100 * query, key, value
    expected = getattr(ops, name)(*inputs, **options)
    actual = reference(*inputs)
    assert actual.dtype == torch.bfloat16
    assert_close([actual], [expected.float()], 2e-2)
    inputs = [x.float() for x in inputs]
    with torch.autocast('cpu', torch.bfloat16):
        inside = reference(*inputs)
    assert torch.equal(inside, reference(*inputs))
