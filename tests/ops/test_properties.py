import torch
from attention_inputs import assert_close, cross_scale_inputs, in_scale_inputs, with_gradients
from convolutional_attention import convolutional_attention
from hypothesis import given
from hypothesis import strategies as st

from csnln_mm import ops

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
HALVES = {torch.bfloat16: 4e-2, torch.float16: 4e-3}

sides = st.integers(1, 11)
dtypes = st.sampled_from(list(TOLERANCE))


@given(
    size=st.tuples(sides, sides),
    scale=st.integers(1, 4),
    patch_size=st.sampled_from([1, 3, 5, 7]),
    n=st.integers(1, 3),
    tile=st.none() | st.tuples(st.integers(1, 15), st.integers(1, 15)),
    dtype=dtypes,
    seed=st.integers(0, 99),
)
def test_cross_scale_attention_equals_its_reference_and_convolutions(
    size, scale, patch_size, n, tile, dtype, seed
):
    inputs = cross_scale_inputs(size, scale, n=n, dtype=dtype, seed=seed)
    options = dict(scale=scale, patch_size=patch_size)
    actual = with_gradients(ops.cross_scale_attention, inputs, **options, tile=tile)
    for other in ops.cross_scale_attention_reference, convolutional_attention:
        assert_close(actual, with_gradients(other, inputs, **options), TOLERANCE[dtype])


@given(
    size=st.tuples(sides, sides),
    key_size=st.none() | st.tuples(sides, sides),
    n=st.integers(1, 3),
    tile=st.none() | st.integers(1, 200),
    dtype=dtypes,
    seed=st.integers(0, 99),
)
def test_in_scale_attention_equals_its_reference(size, key_size, n, tile, dtype, seed):
    inputs = in_scale_inputs(size, key_size, n=n, dtype=dtype, seed=seed)
    expected = with_gradients(ops.in_scale_attention_reference, inputs)
    assert_close(
        with_gradients(ops.in_scale_attention, inputs, tile=tile), expected, TOLERANCE[dtype]
    )


@given(
    size=st.tuples(sides, sides),
    scale=st.integers(1, 4),
    patch_size=st.sampled_from([1, 3, 5]),
    tile=st.none() | st.tuples(st.integers(1, 15), st.integers(1, 15)),
    dtype=st.sampled_from(list(HALVES)),
    seed=st.integers(0, 99),
)
def test_sixteen_bits_are_near_the_reference(size, scale, patch_size, tile, dtype, seed):
    """In float64 on the same, already rounded numbers."""
    inputs = cross_scale_inputs(size, scale, dtype=dtype, seed=seed)
    options = dict(scale=scale, patch_size=patch_size)
    actual = ops.cross_scale_attention(*inputs, **options, tile=tile)
    expected = ops.cross_scale_attention_reference(*(x.double() for x in inputs), **options)
    assert actual.dtype == dtype
    assert_close([actual], [expected], HALVES[dtype])
    query, key, value = in_scale_inputs(size, dtype=dtype, seed=seed)
    actual = ops.in_scale_attention(query, key, value)
    expected = ops.in_scale_attention_reference(query.double(), key.double(), value.double())
    assert_close([actual], [expected], HALVES[dtype])
