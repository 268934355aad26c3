import pytest
import torch
from attention_inputs import assert_close, cross_scale_inputs, random_maps, with_gradients

from csnln_mm.ops import cross_scale_attention, cross_scale_attention_reference


@pytest.mark.parametrize('softmax_scale', [-3.0, 0.0, 1.0, 200.0])
def test_softmax_scale_and_divisor(softmax_scale):
    inputs = cross_scale_inputs((6, 7), 2)
    options = dict(scale=2, softmax_scale=softmax_scale, divisor=-2.5)
    assert_close(
        with_gradients(cross_scale_attention, inputs, **options),
        with_gradients(cross_scale_attention_reference, inputs, **options),
    )


def test_empty_candidate_patches():
    """Their norm is 0; the floor keeps values and gradients finite."""
    query, key, value = cross_scale_inputs((12, 12), 2)
    key = key.detach().clone()
    key[..., :4, :4] = 0
    inputs = query, key.requires_grad_(), value
    actual = with_gradients(cross_scale_attention, inputs, scale=2)
    assert_close(actual, with_gradients(cross_scale_attention_reference, inputs, scale=2))
    assert all(x.isfinite().all() for x in actual)


@pytest.mark.parametrize(
    'scale, patch_size, tile', [(2, 3, None), (3, 1, (1, 100)), (2, 5, (2, 3))]
)
def test_gradcheck(scale, patch_size, tile):
    inputs = cross_scale_inputs((4, 3), scale, embed=2, channels=1)

    def operator(*maps):
        return cross_scale_attention(*maps, scale=scale, patch_size=patch_size, tile=tile)

    assert torch.autograd.gradcheck(operator, inputs)


def test_only_needed_gradients():
    query, key, value = cross_scale_inputs((4, 4), 2)
    expected = with_gradients(cross_scale_attention, (query, key, value), scale=2)
    out = cross_scale_attention(query.detach(), key.detach(), value, scale=2)
    grad = random_maps([out.shape], seed=1)[0].detach()
    assert torch.equal(torch.autograd.grad(out, value, grad)[0], expected[3])


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(query=torch.zeros(3, 4, 4)), 'query must be .N, C, H, W.'),
        (dict(key=torch.zeros(1, 3, 2, 3)), r'key must be \(1, 3, 2, 2\)'),
        (dict(key=torch.zeros(1, 4, 2, 2)), r'key must be \(1, 3, 2, 2\)'),
        (dict(value=torch.zeros(1, 2, 4, 5)), 'value must have the batch and size'),
        (dict(value=torch.zeros(2, 2, 4, 4)), 'value must have the batch and size'),
        (dict(value=torch.zeros(1, 0, 4, 4)), 'must not be empty'),
        (dict(query=torch.zeros(0, 3, 4, 4)), 'must not be empty'),
        (dict(value=torch.zeros(1, 2, 4, 4).int()), 'floating dtype'),
        (dict(key=torch.zeros(1, 3, 2, 2, device='meta')), 'query is on cpu, key on meta'),
        (dict(scale=0), 'scale must be a positive integer, got 0'),
        (dict(scale=1.5), 'scale must be a positive integer, got 1.5'),
        (dict(patch_size=2), 'patch_size must be a positive odd integer, got 2'),
        (dict(patch_size=-1), 'patch_size must be a positive odd integer, got -1'),
    ],
)
@pytest.mark.parametrize('operator', [cross_scale_attention, cross_scale_attention_reference])
def test_refuses_inputs_that_do_not_fit(operator, change, message):
    arguments = dict(
        query=torch.zeros(1, 3, 4, 4),
        key=torch.zeros(1, 3, 2, 2),
        value=torch.zeros(1, 2, 4, 4),
        scale=2,
    )
    with pytest.raises(ValueError, match=message):
        operator(**{**arguments, **change})


@pytest.mark.parametrize('tile', [(0, 3), (3, -1), (3,), (1, 2, 3)])
def test_refuses_a_wrong_tile(tile):
    with pytest.raises(ValueError, match='tile must be two positive integers'):
        cross_scale_attention(*cross_scale_inputs((4, 4), 2), scale=2, tile=tile)
