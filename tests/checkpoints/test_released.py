import pytest
import torch
from golden import load_golden

from csnln_mm.checkpoints import convert_released_state_dict
from csnln_mm.errors import UserError


@pytest.fixture(scope='module')
def released():
    return {scale: load_golden(scale).state_dict for scale in (2, 3, 4)}


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_tells_what_the_network_is(released, scale):
    converted = convert_released_state_dict(released[scale])
    assert converted[1:] == (scale, 2, 128)


def test_every_trained_tensor_arrives_once(released):
    for state_dict in released.values():
        constants = {
            key
            for key in state_dict
            if key.startswith(('sub_mean', 'add_mean')) or key.endswith('escape_NaN')
        }
        arrived = [
            t.data_ptr() for t in convert_released_state_dict(state_dict).state_dict.values()
        ]
        wanted = [t.data_ptr() for key, t in state_dict.items() if key not in constants]
        assert sorted(arrived) == sorted(wanted)


def changed(state_dict, **changes):
    changes = {key.replace('__', '.'): value for key, value in changes.items()}
    return {k: v for k, v in dict(state_dict, **changes).items() if v is not None}


@pytest.mark.parametrize(
    'changes, key',
    [
        (dict(head__0__0__weight=None), 'head.0.0.weight'),
        (dict(SEM__post_conv__0__bias=None), 'SEM.post_conv.0.bias'),
        (dict(extra=torch.zeros(1)), 'extra'),
        (dict(head__1__0__bias=torch.zeros(3)), 'head.1.0.bias'),
        (dict(tail__0__weight=torch.zeros(3, 200, 3, 3)), 'tail.0.weight'),
        (
            dict(SEM__down_sample_1__0__weight=torch.zeros(128, 128, 7, 7)),
            'SEM.down_sample_1.0.weight',
        ),
        (dict(sub_mean__bias=torch.zeros(3)), 'sub_mean'),
    ],
)
def test_names_the_first_key_that_is_wrong(released, changes, key):
    with pytest.raises(UserError, match=key.replace('.', r'\.')):
        convert_released_state_dict(changed(released[2], **changes))


@pytest.mark.parametrize('state_dict', [{}, {'conv.weight': torch.zeros(1)}])
def test_refuses_another_model(state_dict):
    with pytest.raises(UserError, match='not a released CSNLN'):
        convert_released_state_dict(state_dict)
