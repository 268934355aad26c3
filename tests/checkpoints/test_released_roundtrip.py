import pytest
import torch
from command_line import ROOT, refusal
from golden import load_golden
from safetensors.torch import save_file
from tiny_network import save_checkpoint

from csnln_mm.checkpoints import (
    convert_released_file,
    convert_to_released_file,
    load_checkpoint,
    load_network,
)
from csnln_mm.checkpoints.architecture import ARCHITECTURE_KEY, architecture_tensor
from csnln_mm.cli import main
from csnln_mm.errors import UserError


@pytest.fixture(scope='module')
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp('released')
    for scale in 2, 3, 4:
        torch.save(load_golden(scale).state_dict, folder / f'x{scale}.pt')
    return folder


def assert_same(a, b):
    torch.testing.assert_close(dict(a), dict(b), rtol=0, atol=0)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_there_and_back_is_bit_exact(released, tmp_path, scale):
    told = convert_released_file(released / f'x{scale}.pt', tmp_path / 'ours.pth', scale=scale)
    assert told[1:] == (scale, 2, 128)
    convert_to_released_file(tmp_path / 'ours.pth', tmp_path / 'back.pt')
    back = load_checkpoint(tmp_path / 'back.pt')
    assert_same(back, load_checkpoint(released / f'x{scale}.pt'))
    convert_released_file(tmp_path / 'back.pt', tmp_path / 'again.pth')
    again, ours = (load_checkpoint(tmp_path / f'{name}.pth') for name in ('again', 'ours'))
    assert_same(again['state_dict'], ours['state_dict'])
    assert sorted(p.name for p in tmp_path.iterdir()) == ['again.pth', 'back.pt', 'ours.pth']


def test_the_config_inside_is_of_the_network_of_the_config_file(released, tmp_path):
    convert_released_file(released / 'x3.pt', tmp_path / 'ours.pth')
    checkpoint = load_checkpoint(tmp_path / 'ours.pth')
    Config = pytest.importorskip('mmengine.config').Config
    inside = Config.fromstring(checkpoint['meta']['cfg'], '.py').model
    cfg = Config.fromfile(ROOT / 'configs/csnln_x3_div2k.py').model
    cfg.generator.num_recurrences = 2
    assert inside == dict(generator=cfg.generator)
    weights = {key[len('generator.') :]: value for key, value in checkpoint['state_dict'].items()}
    network = load_network(tmp_path / 'ours.pth')
    assert network.state_dict().keys() == weights.keys()
    assert checkpoint['meta']['csnln'] == dict(
        upscale_factor=3, num_recurrences=2, mid_channels=128, converted_from='x3.pt'
    )


def test_safetensors_of_the_released_code(tmp_path):
    state_dict = load_golden(2).state_dict
    torch.save(state_dict, tmp_path / 'a.pt')
    copies = {key: value.clone() for key, value in state_dict.items()}
    save_file(copies, tmp_path / 'a.safetensors')
    for name in 'a.pt', 'a.safetensors':
        convert_released_file(tmp_path / name, tmp_path / f'{name}.pth')
    a, b = (load_network(tmp_path / f'{name}.pth') for name in ('a.pt', 'a.safetensors'))
    assert_same(a.state_dict(), b.state_dict())


@pytest.fixture(scope='module')
def bad_sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bad')
    torch.save({'conv.weight': torch.zeros(1)}, folder / 'other')
    torch.save([1, 2], folder / 'list')
    state_dict = load_golden(2).state_dict
    torch.save({**state_dict, 'tail.0.bias': 3}, folder / 'number')
    ours = {f'generator.{key}': value for key, value in state_dict.items()}
    torch.save(dict(state_dict=ours), folder / 'mmengine')
    torch.save({ARCHITECTURE_KEY: architecture_tensor({})}, folder / 'exported')
    return folder


@pytest.mark.parametrize(
    'name, reason',
    [
        ('missing', 'does not exist'),
        ('other', "lacks the key 'head.0.0.weight'"),
        ('list', 'holds no state dict'),
        ('number', "'tail.0.bias' is not a tensor"),
        ('mmengine', 'is a checkpoint of MMEngine'),
        ('exported', 'is an exported file'),
    ],
)
def test_a_bad_source_is_refused_by_name_and_nothing_is_written(bad_sources, name, reason):
    before = set(bad_sources.iterdir())
    with pytest.raises(UserError, match=reason) as error:
        convert_released_file(bad_sources / name, bad_sources / 'out.pth')
    assert str(bad_sources / name) in str(error.value)
    assert set(bad_sources.iterdir()) == before


def test_a_target_that_cannot_be_written_is_named(released, tmp_path):
    (tmp_path / 'file').write_text('mine')
    for target in tmp_path, tmp_path / 'file/a.pth':
        with pytest.raises(UserError, match=f'{target}') as caught:
            convert_released_file(released / 'x2.pt', target)
        assert 'Errno' not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_another_scale_and_the_source_itself_are_refused(released, tmp_path):
    with pytest.raises(UserError, match='is a model for x4, not x2'):
        convert_released_file(released / 'x4.pt', tmp_path / 'out.pth', scale=2)
    with pytest.raises(UserError, match='would overwrite itself'):
        convert_released_file(released / 'x2.pt', released / 'x2.pt')
    assert not any(tmp_path.iterdir())


def save_trained(path, **generator):
    """Of a network that the released code has, but for ``generator``."""
    return save_checkpoint(path, **dict(dict(num_recurrences=2, image_skip=False), **generator))


def test_weights_trained_here_go_to_the_released_code(tmp_path):
    save_trained(tmp_path / 'a.pth', upscale_factor=4)
    told = convert_to_released_file(tmp_path / 'a.pth', tmp_path / 'a.pt')
    assert told[1:] == (4, 2, 4)
    convert_released_file(tmp_path / 'a.pt', tmp_path / 'b.pth', scale=4)
    a, b = (load_checkpoint(tmp_path / f'{name}.pth')['state_dict'] for name in 'ab')
    assert_same(a, b)


@pytest.mark.parametrize(
    'generator, reason',
    [
        (dict(image_skip=True), 'image_skip'),
        (dict(recurrence_skip=True), 'recurrence_skip'),
        (dict(cell=dict(patch_size=1)), 'patch_size=1'),
        (dict(cell=dict(in_scale_grid=(2, 2))), 'in_scale_grid'),
        (dict(rgb_mean=(0.5, 0.5, 0.5)), 'rgb_mean'),
        (dict(cell=dict(branches=('local',))), 'cell.stages.0.fusion.downsample.0.weight'),
        (dict(cell=dict(branches=('local', 'in_scale'))), 'missing key .*cross_scale'),
        (
            dict(cell=dict(fusion=dict(type='MutualProjectedFusion', recipe='paper'))),
            'unknown key .cell.stages.0.fusion.projection.weight',
        ),
        (dict(cell=dict(stages=[4]), upscale_factor=4), 'side 8'),
    ],
)
def test_what_the_released_code_lacks_is_refused(tmp_path, generator, reason):
    save_trained(tmp_path / 'a.pth', **generator)
    with pytest.raises(UserError, match=reason):
        convert_to_released_file(tmp_path / 'a.pth', tmp_path / 'a.pt')
    assert [p.name for p in tmp_path.iterdir()] == ['a.pth']


def test_a_released_checkpoint_is_not_converted_backwards(released, tmp_path):
    with pytest.raises(UserError, match='is not a checkpoint of MMEngine'):
        convert_to_released_file(released / 'x2.pt', tmp_path / 'out.pt')


def test_the_command_names_the_config_and_fails_in_one_line(released, tmp_path, capsys):
    assert main(['convert', str(released / 'x3.pt'), str(tmp_path / 'ours.pth')]) == 0
    told = capsys.readouterr().out
    assert 'configs/csnln_x3_div2k.py' in told
    assert '--cfg-options model.generator.num_recurrences=2' in told
    refusal(capsys, 'convert', released / 'x3.pt', tmp_path / 'other.pth', '--scale', 2)
    assert not (tmp_path / 'other.pth').exists()
