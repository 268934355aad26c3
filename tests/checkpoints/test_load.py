import pickle

import pytest
import torch
from history_buffer import HistoryBuffer
from PIL import Image
from safetensors.torch import save_file

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.errors import UserError


def test_reads_safetensors(tmp_path):
    weights = dict(a=torch.arange(3.0), b=torch.ones(2, 2, dtype=torch.bfloat16))
    save_file(weights, tmp_path / 'a.safetensors', dict(architecture='{}'))
    save_file(weights, tmp_path / 'bare.safetensors')
    for name, meta in ('a', dict(architecture='{}')), ('bare', {}):
        loaded = load_checkpoint(tmp_path / f'{name}.safetensors')
        assert loaded['meta'] == meta and loaded['state_dict'].keys() == weights.keys()
        assert all(torch.equal(loaded['state_dict'][key], weights[key]) for key in weights)


class Calls:
    """Unpickling this calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('old_format', [False, True])
@pytest.mark.parametrize(
    'function, arguments',
    [
        (eval, ('open("ran", "w")',)),
        (getattr, (torch.Tensor, 'numpy')),
        (getattr, (HistoryBuffer, '__init__')),
        (torch.hub.load, ('a', 'b')),
        (pickle.loads, (b'',)),
    ],
)
def test_refuses_what_would_run_code(tmp_path, monkeypatch, function, arguments, old_format):
    monkeypatch.chdir(tmp_path)
    torch.save(
        dict(weight=torch.zeros(1), evil=Calls(function, *arguments)),
        'evil.pth',
        _use_new_zipfile_serialization=not old_format,
    )
    with pytest.raises(UserError, match='evil.pth is refused: it would run '):
        load_checkpoint('evil.pth')
    assert not (tmp_path / 'ran').exists()


def test_says_what_is_wrong_with_a_file(tmp_path):
    whole = tmp_path / 'whole.pth'
    torch.save(dict(weight=torch.zeros(100)), whole)
    (tmp_path / 'cut.pth').write_bytes(whole.read_bytes()[:-50])
    (tmp_path / 'text.pth').write_text('hello')
    (tmp_path / 'empty.pth').touch()
    Image.new('L', (9, 9)).save(tmp_path / 'picture.png')
    for name in 'cut.pth', 'empty.pth':
        with pytest.raises(UserError, match=f'{name} is cut off or not a checkpoint$'):
            load_checkpoint(tmp_path / name)
    for name in 'text.pth', 'picture.png':
        with pytest.raises(UserError, match=f'{name} is not a checkpoint: it does not begin as'):
            load_checkpoint(tmp_path / name)
    with pytest.raises(UserError, match='does not exist'):
        load_checkpoint(tmp_path / 'none.pth')
    with pytest.raises(UserError, match='not a file'):
        load_checkpoint(tmp_path)


def test_refuses_a_program(tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / 'program.pth'))
    with pytest.raises(UserError, match='TorchScript'):
        load_checkpoint(tmp_path / 'program.pth')


def test_a_changed_weight_is_noticed(tmp_path):
    torch.save(dict(weight=torch.full((100,), 1.5)), tmp_path / 'a.pth')
    content = (tmp_path / 'a.pth').read_bytes()
    middle = content.index(torch.full((100,), 1.5).numpy().tobytes()) + 200
    (tmp_path / 'a.pth').write_bytes(content[:middle] + b'x' + content[middle + 1 :])
    with pytest.raises(UserError, match='a.pth is damaged: its content does not fit its checksums'):
        load_checkpoint(tmp_path / 'a.pth')
