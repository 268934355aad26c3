"""What is exported is taken back, bit for bit, and says what it is."""

import json
import re

import pytest
import torch
from command_line import refusal
from damage import cut_off
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_network import save_checkpoint

from csnln_mm.checkpoints import load_checkpoint, load_network
from csnln_mm.checkpoints.convert import convert_to_released_file
from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.integrations.safetensors import export_safetensors

# Settings that leave no trace in the weights, and branches that do.
COMPACT = dict(
    num_recurrences=3,
    attention_recurrences=[2],
    upscale_factor=3,
    image_skip=True,
    recurrence_skip=True,
)
RELEASED = dict(image_skip=False, num_recurrences=2)


def metadata(path):
    with safe_open(path, 'pt') as file:
        return file.metadata()


def state_dict(path):
    return load_network(path).state_dict()


def same(a, b):
    torch.testing.assert_close(dict(a), dict(b), rtol=0, atol=0)


@pytest.mark.parametrize(
    'settings',
    [
        dict(RELEASED, upscale_factor=2),
        dict(RELEASED, upscale_factor=4),
        COMPACT,
        dict(
            cell=dict(branches=['local', 'cross_scale'], patch_size=5, stages=[4]), upscale_factor=4
        ),
        dict(cell=dict(patch_size=5, in_scale_grid=[2, 2], fusion=dict(recipe='paper'))),
    ],
    ids=str,
)
def test_a_network_comes_back_from_its_export(tmp_path, settings):
    save_checkpoint(tmp_path / 'a.pth', **settings)
    assert main(['export', str(tmp_path / 'a.pth'), '-o', str(tmp_path / 'a.safetensors')]) == 0
    same(state_dict(tmp_path / 'a.safetensors'), state_dict(tmp_path / 'a.pth'))
    x = torch.rand(1, 3, 7, 8)
    with torch.inference_mode():
        expected = load_network(tmp_path / 'a.pth')(x)
        assert torch.equal(load_network(tmp_path / 'a.safetensors')(x), expected)
        # Without the metadata, as other programs hand on what they loaded.
        save_file(load_file(tmp_path / 'a.safetensors'), tmp_path / 'b.safetensors')
        assert torch.equal(load_network(tmp_path / 'b.safetensors')(x), expected)


def test_the_metadata_say_what_it_is_and_where_it_is_from(tmp_path):
    checkpoint = load_checkpoint(save_checkpoint(tmp_path / 'iter_7.pth', **COMPACT))
    checkpoint['meta'].update(iter=7, epoch=2)
    torch.save(checkpoint, tmp_path / 'iter_7.pth')
    first, second = tmp_path / 'first.safetensors', tmp_path / 'second.safetensors'
    written = export_safetensors(tmp_path / 'iter_7.pth', first, metadata=dict(license='mit'))
    assert metadata(first) == written
    architecture = json.loads(written.pop('architecture'))
    assert architecture == dict(COMPACT, type='CSNLNNet', mid_channels=4)
    del written['csnln_mm_version']
    about = dict(source='iter_7.pth', iteration='7', epoch='2', license='mit')
    assert written == dict(about, format='pt', upscale_factor='3')
    assert load_file(first).keys() - state_dict(first) == {'csnln_architecture'}
    # An export of an export is the same file.
    export_safetensors(first, second)
    assert second.read_bytes() == first.read_bytes()


def test_released_files_and_back(tmp_path):
    save_checkpoint(tmp_path / 'a.pth', **RELEASED)
    convert_to_released_file(tmp_path / 'a.pth', tmp_path / 'released.pt')
    export_safetensors(tmp_path / 'released.pt', tmp_path / 'a.safetensors')
    same(state_dict(tmp_path / 'a.safetensors'), state_dict(tmp_path / 'a.pth'))
    words = ['convert', '--to-released', tmp_path / 'a.safetensors', tmp_path / 'back.pt']
    assert main([str(word) for word in words]) == 0
    same(load_checkpoint(tmp_path / 'back.pt'), load_checkpoint(tmp_path / 'released.pt'))


def test_of_a_gan_the_generator_and_rather_its_moving_average(tmp_path):
    checkpoint = load_checkpoint(save_checkpoint(tmp_path / 'a.pth', **RELEASED))
    weights = checkpoint['state_dict']
    weights['discriminator.weight'] = torch.ones(1)
    torch.save(checkpoint, tmp_path / 'gan.pth')
    export_safetensors(tmp_path / 'gan.pth', tmp_path / 'gan.safetensors')
    same(state_dict(tmp_path / 'gan.safetensors'), state_dict(tmp_path / 'a.pth'))
    average = {key: value + 1 for key, value in state_dict(tmp_path / 'a.pth').items()}
    weights.update({f'generator_ema.{key}': value for key, value in average.items()})
    torch.save(checkpoint, tmp_path / 'ema.pth')
    export_safetensors(tmp_path / 'ema.pth', tmp_path / 'ema.safetensors')
    same(state_dict(tmp_path / 'ema.safetensors'), average)


def test_half_precision(tmp_path):
    path, target = save_checkpoint(tmp_path / 'a.pth', **COMPACT), tmp_path / 'a.safetensors'
    assert main(['export', str(path), '-o', str(target), '--half']) == 0
    halves = {key: value.half().float() for key, value in state_dict(path).items()}
    same(state_dict(target), halves)
    again = tmp_path / 'again.safetensors'
    export_safetensors(target, again)
    assert again.read_bytes() == target.read_bytes()
    checkpoint = load_checkpoint(path)
    checkpoint['state_dict']['generator.head.0.0.weight'][0, 0, 0, 0] = 1e5
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match="'head.0.0.weight' has values beyond float16"):
        export_safetensors(path, tmp_path / 'b.safetensors', half=True)
    assert not (tmp_path / 'b.safetensors').exists()


def describe(architecture):
    return lambda path: save_file(load_file(path), path, dict(architecture=architecture))


@pytest.mark.parametrize(
    'spoil, message',
    [
        (describe('{"type": "CSNLNNet", "mid_channels": 5}'), 'the config: .* the config makes it'),
        (describe('{"type": "RRDBNet"}'), "is of a 'RRDBNet', which csnln_mm.networks does not"),
        (describe('mid_channels=4'), 'the config in checkpoint .* is refused'),
        (cut_off, 'is cut off or not a checkpoint'),
        (lambda path: save_file(dict(a=torch.ones(1)), path), 'no config, and is none that'),
    ],
)
def test_bad_files_are_one_line_and_nothing_is_written(tmp_path, capsys, spoil, message):
    source, target = tmp_path / 'bad.safetensors', tmp_path / 'out.safetensors'
    export_safetensors(save_checkpoint(tmp_path / 'a.pth', **RELEASED), source)
    spoil(source)
    before = sorted(tmp_path.iterdir())
    error = refusal(capsys, 'export', source, '-o', target)
    assert 'bad.safetensors' in error and re.search(message, error)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    'name, options', [('a.txt', ''), ('a', ''), ('a.onnx', ''), ('a.pth', '--format onnx')]
)
def test_a_name_of_another_format_is_refused(tmp_path, monkeypatch, capsys, name, options):
    monkeypatch.chdir(tmp_path)
    suffix = '.onnx' if options else '.safetensors'
    line = refusal(capsys, 'export', 'missing.pth', '-o', name, *options.split())
    assert line == f'csnln: error: {name} is not a name for {suffix[1:]}: use -o a{suffix}'


def test_what_cannot_be_asked_for(tmp_path):
    path = save_checkpoint(tmp_path / 'a.pth', **RELEASED)
    with pytest.raises(UserError, match='a.pth would overwrite itself'):
        export_safetensors(path, path)
    with pytest.raises(UserError, match="'upscale_factor' follows from the network"):
        export_safetensors(path, tmp_path / 'b', metadata=dict(upscale_factor='4'))
