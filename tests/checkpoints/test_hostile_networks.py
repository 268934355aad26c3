"""Checkpoints that claim more of a network than they hold, or other networks."""

import resource

import pytest
import torch

from csnln_mm.checkpoints.network import load_network
from csnln_mm.errors import UserError


def write(path, generator, **model):
    model = dict(dict(type='CSNLNEditor', generator=generator), **model)
    torch.save(dict(state_dict={'a': torch.ones(1)}, meta=dict(cfg=f'model = {model!r}')), path)
    return str(path)


@pytest.mark.parametrize(
    'sizes, match',
    [
        (dict(mid_channels=4096, num_recurrences=4096), 'does not fit the config: it lacks'),
        (dict(mid_channels=10**6), 'is refused: 1000000 is a size beyond 4096'),
        (dict(cell=dict(num_plain_convs=10**9, branches=[])), '1000000000 is a size beyond 4096'),
        (dict(cell=eval('[' * 40 + ']' * 40)), 'is nested more than 16 levels deep'),
        (dict(mid_channels=1 << 9000), 'it has an integer of 9001 bits'),
        (dict(cell='x' * 2**20), r'it has 1,048,\d+ characters, more than 1,048,576'),
        (dict(mid_channels=-1), 'mid_channels must be an integer of at least 1'),
        (dict(cell=[1]), 'the config in checkpoint'),
    ],
)
def test_no_memory_is_taken_for_what_is_only_claimed(tmp_path, sizes, match):
    path = write(tmp_path / 'a.pth', dict(dict(type='CSNLNNet', num_recurrences=1), **sizes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=match) as caught:
        load_network(path)
    assert path in str(caught.value) and '\n' not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500e3


@pytest.mark.parametrize(
    'model',
    [
        dict(generator=dict(type='CSNLNNet', cell=dict(type='mmagic.models.StableDiffusion'))),
        dict(generator=dict(type=['CSNLNNet'])),
        dict(generator=dict(type='torch.hub.load')),
        dict(generator=1),
        dict(data_preprocessor=[1]),
        dict(data_preprocessor=dict(type='os.system', command='touch ran')),
        dict(generator=dict(type='build_network')),
        dict(generator=dict(type='CSNLNNet', cell=dict(fusion=dict(type='nn')))),
    ],
)
def test_only_known_types_are_built(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / 'a.pth', **dict(dict(generator=dict(type='CSNLNNet')), **model))
    with pytest.raises(UserError, match='the config in checkpoint .*a.pth is'):
        load_network(path)
    assert [p.name for p in tmp_path.iterdir()] == ['a.pth']
