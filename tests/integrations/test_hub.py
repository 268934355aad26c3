"""The folder for the hub: complete, loaded offline, and understood by the hub's own package."""

import hashlib
import json
import re
import runpy
from pathlib import Path

import pytest
import torch
from command_line import refusal
from tiny_network import photograph, save_checkpoint

from csnln_mm.checkpoints import load_network
from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.images import write_image
from csnln_mm.integrations.hub import export_hub
from csnln_mm.networks import CSNLNNet

SETTINGS = dict(
    upscale_factor=3, num_recurrences=2, attention_recurrences=[2], recurrence_skip=True
)
METADATA = dict(
    license='CC-BY-4.0',
    author='A. Person',
    training_data='some photographs',
    scores='{"Set5": [34.267, 0.92714], "Set14": [30.1, 0.84]}',
)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp('hub') / 'iter_9.pth', **SETTINGS)


@pytest.fixture(scope='module')
def folder(checkpoint):
    return export_hub(checkpoint, checkpoint.parent / 'my model', metadata=METADATA)


def test_what_is_in_it(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        'README.md',
        'config.json',
        'model.safetensors',
    ]
    config = json.loads((folder / 'config.json').read_text())
    assert config['type'] == 'CSNLNNet' and SETTINGS.items() <= config.items()


def test_the_example_of_an_entry_for_openmodeldb(folder, tmp_path):
    example = Path(__file__).parents[2] / 'docs/examples/openmodeldb_entry.py'
    runpy.run_path(str(example))['main'](str(folder), str(tmp_path / 'entry.json'))
    entry = json.loads((tmp_path / 'entry.json').read_text())
    expected = dict(name='my model', author=['A-Person'], license='CC-BY-4.0')
    expected |= dict(scale=3, inputChannels=3, outputChannels=3, dataset='some photographs')
    assert entry.items() >= expected.items()
    assert re.fullmatch(r'\d{4}-\d\d-\d\d', entry['date'])
    (resource,) = entry['resources']
    weights = (folder / 'model.safetensors').read_bytes()
    assert resource['size'] == len(weights)
    assert resource['sha256'] == hashlib.sha256(weights).hexdigest()


def test_the_card_as_the_hub_reads_it(folder):
    hub = pytest.importorskip('huggingface_hub')
    card = hub.ModelCard.load(folder / 'README.md')
    assert (card.data.license, card.data.library_name) == ('cc-by-4.0', 'csnln-mm')
    figures = {(x.dataset_name, x.metric_type): x.metric_value for x in card.data.eval_results}
    assert len(figures) == 4
    assert (figures['Set5', 'psnr'], figures['Set14', 'ssim']) == (34.27, 0.84)
    assert (
        '| Set5 | 34.27 | 0.9271 |' in ' '.join(card.text.split())
        and 'some photographs' in card.text
    )
    assert "csnln upscale photo.jpg -n 'my model/'" in card.text and 'iter_9.pth' in card.text


def test_the_hubs_own_class_loads_it(folder, checkpoint):
    hub = pytest.importorskip('huggingface_hub')

    class Model(CSNLNNet, hub.PyTorchModelHubMixin):
        pass

    x = torch.rand(1, 3, 6, 7)
    with torch.inference_mode():
        expected = load_network(checkpoint)(x)
        assert torch.equal(Model.from_pretrained(folder).eval()(x), expected)


def test_upscale_takes_the_folder(folder, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / 'a.png', photograph(12, 14))
    for name, target in (checkpoint, 'file.png'), (folder, 'folder.png'):
        words = ['-n', str(name), '-g', 'cpu', '--strip']  # results name their model
        assert main(['upscale', 'a.png', '-o', target, *words]) == 0
    assert (tmp_path / 'file.png').read_bytes() == (tmp_path / 'folder.png').read_bytes()


def test_nothing_is_overwritten_and_mistakes_leave_nothing(folder, checkpoint, tmp_path, capsys):
    words = ['export', str(checkpoint), '--hub']
    assert 'my model exists already; name a new folder' in refusal(capsys, *words, folder)
    wrong = tmp_path / 'new', '--metadata', 'scores=37.1'
    assert 'the metadata scores must be JSON' in refusal(capsys, *words, *wrong)
    (tmp_path / 'bad.pth').write_bytes(b'bad')
    with pytest.raises(UserError, match='bad.pth is not a checkpoint: '):
        export_hub(tmp_path / 'bad.pth', tmp_path / 'new')
    assert [path.name for path in tmp_path.iterdir()] == ['bad.pth']
    # An empty folder is no other than none.
    (tmp_path / 'new').mkdir()
    assert main([*words, str(tmp_path / 'new'), '--half']) == 0
    card = (tmp_path / 'new/README.md').read_text()
    assert '| licence | not stated |' in card and 'license:' not in card
