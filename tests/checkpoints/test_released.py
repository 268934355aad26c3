import re

import pytest
import torch
from golden import load_golden

from csnln_mm.checkpoints import convert_released_state_dict
from csnln_mm.errors import UserError


@pytest.fixture(scope='module')
def released():
    return {scale: load_golden(scale).state_dict for scale in (2, 3, 4)}


def test_every_trained_tensor_arrives_once(released):
    for state_dict in released.values():
        converted = convert_released_state_dict(state_dict).state_dict
        wanted = [
            tensor.data_ptr()
            for key, tensor in state_dict.items()
            if not key.startswith(('sub_mean', 'add_mean')) and not key.endswith('escape_NaN')
        ]
        assert sorted(t.data_ptr() for t in converted.values()) == sorted(wanted)


@pytest.mark.parametrize(
    'key, value',
    [
        ('SEM.post_conv.0.bias', None),
        ('extra', torch.zeros(1)),
        ('head.1.0.bias', torch.zeros(3)),
        ('tail.0.weight', torch.zeros(3, 200, 3, 3)),
        ('SEM.down_sample_1.0.weight', torch.zeros(128, 128, 7, 7)),
    ],
)
def test_names_the_first_key_that_is_wrong(released, key, value):
    changed = dict(released[2], **{key: value})
    changed = {name: tensor for name, tensor in changed.items() if tensor is not None}
    with pytest.raises(UserError, match=re.escape(key)):
        convert_released_state_dict(changed)


def test_another_mean_is_refused(released):
    with pytest.raises(UserError, match='sub_mean'):
        convert_released_state_dict(dict(released[2], **{'sub_mean.bias': torch.zeros(3)}))


@pytest.mark.parametrize('state_dict', [{}, {'conv.weight': torch.zeros(1)}])
def test_refuses_another_model(state_dict):
    with pytest.raises(UserError, match='not a released CSNLN'):
        convert_released_state_dict(state_dict)
