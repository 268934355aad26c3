import pytest
import torch
from attention_inputs import assert_close, in_scale_inputs, random_maps, with_gradients

from csnln_mm.ops import in_scale, in_scale_attention, in_scale_attention_reference


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (8, 9)])
@pytest.mark.parametrize('key_size', [None, (3, 4)])
def test_values_and_gradients_equal_the_direct_formula(size, key_size):
    inputs = in_scale_inputs(size, key_size, n=3)
    expected = with_gradients(in_scale_attention_reference, inputs)
    for tile in (None, 1, 7, 1000):
        assert_close(with_gradients(in_scale_attention, inputs, tile=tile), expected)


@pytest.mark.parametrize('tile', [None, 5])
def test_gradcheck(tile):
    inputs = in_scale_inputs((3, 4), (2, 3), n=2)
    assert torch.autograd.gradcheck(lambda *maps: in_scale_attention(*maps, tile=tile), inputs)


@pytest.mark.parametrize('tile', [None, 7])
def test_a_sample_does_not_see_its_batch(tile):
    inputs = in_scale_inputs((5, 6), n=3)
    together = with_gradients(in_scale_attention, inputs, tile=tile)
    grad = random_maps([together[0].shape], seed=1)[0].detach()
    for i in range(3):
        sample = [x[i : i + 1].detach().requires_grad_() for x in inputs]
        out = in_scale_attention(*sample, tile=tile)
        alone = [out, *torch.autograd.grad(out, sample, grad[i : i + 1])]
        assert_close(alone, [x[i : i + 1] for x in together], 1e-13)


def test_large_similarities_stay_finite():
    inputs = [
        (x * 1e4).detach().requires_grad_() for x in in_scale_inputs((6, 6), dtype=torch.float32)
    ]
    assert all(x.isfinite().all() for x in with_gradients(in_scale_attention, inputs))


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(query=torch.zeros(3, 4, 4)), 'query must be .N, C, H, W.'),
        (dict(key=torch.zeros(1, 4, 4, 4)), 'key must have the batch and channels'),
        (dict(key=torch.zeros(2, 3, 4, 4)), 'key must have the batch and channels'),
        (dict(value=torch.zeros(1, 2, 4, 5)), 'value must have the batch and size'),
        (dict(value=torch.zeros(1, 2, 4, 0)), 'value must not be empty'),
        (dict(query=torch.zeros(1, 3, 4, 4).long()), 'floating dtype'),
        (dict(value=torch.zeros(1, 2, 4, 4, device='meta')), 'query is on cpu, value on meta'),
    ],
)
@pytest.mark.parametrize('operator', [in_scale_attention, in_scale_attention_reference])
def test_refuses_inputs_that_do_not_fit(operator, change, message):
    arguments = dict(
        query=torch.zeros(1, 3, 4, 4), key=torch.zeros(1, 3, 4, 4), value=torch.zeros(1, 2, 4, 4)
    )
    with pytest.raises(ValueError, match=message):
        operator(**{**arguments, **change})


def test_refuses_a_wrong_tile():
    with pytest.raises(ValueError, match='tile must be a positive number'):
        in_scale_attention(*in_scale_inputs((4, 4)), tile=0)


@pytest.mark.filterwarnings('error')
def test_torchs_own_attention_is_asked_for_kernels_in_bounded_memory_only():
    enabled = torch.backends.cuda.math_sdp_enabled
    with in_scale._kernels_in_bounded_memory():
        assert torch.backends.cuda.flash_sdp_enabled() and not enabled()
    assert enabled()
