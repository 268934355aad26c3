import pytest
import torch
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


def test_says_what_is_wrong_with_a_file(tmp_path):
    whole = tmp_path / 'whole.pth'
    torch.save(dict(weight=torch.full((100,), 1.5)), whole)
    content = whole.read_bytes()
    middle = content.index(torch.full((100,), 1.5).numpy().tobytes()) + 200
    (tmp_path / 'changed.pth').write_bytes(content[:middle] + b'x' + content[middle + 1 :])
    (tmp_path / 'cut.pth').write_bytes(content[:-50])
    (tmp_path / 'text.pth').write_text('hello')
    (tmp_path / 'empty.pth').touch()
    (tmp_path / 'folder').mkdir()
    Image.new('L', (9, 9)).save(tmp_path / 'image.png')
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / 'program.pth'))
    for name, message in (
        ('changed.pth', 'is damaged: its content does not fit its checksums'),
        ('cut.pth', 'is cut off or not a checkpoint$'),
        ('empty.pth', 'is cut off or not a checkpoint$'),
        ('text.pth', 'is not a checkpoint: it does not begin as'),
        ('image.png', 'is not a checkpoint: it does not begin as'),
        ('none.pth', 'does not exist'),
        ('folder', 'is not a file'),
        ('program.pth', '.*TorchScript'),
    ):
        with pytest.raises(UserError, match=f'{name} {message}'):
            load_checkpoint(tmp_path / name)
