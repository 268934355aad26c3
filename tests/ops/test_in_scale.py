import pytest
import torch
from attention_inputs import in_scale_inputs

from csnln_mm.ops import in_scale, in_scale_attention, in_scale_attention_reference


@pytest.mark.parametrize('tile', [None, 5])
def test_gradcheck(tile):
    inputs = in_scale_inputs((3, 4), (2, 3), n=2)
    assert torch.autograd.gradcheck(lambda *maps: in_scale_attention(*maps, tile=tile), inputs)


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
