import json

import pytest
import torch
from golden import load_golden
from safetensors.torch import save_file

from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.networks import CSNLNNet

SMALL = dict(mid_channels=4, num_recurrences=2, upscale_factor=3, cell=dict(in_scale_grid=(2, 2)))


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return CSNLNNet(**SMALL).eval()


def save(path, weights, model=None):
    meta = dict(cfg=f'model = {model!r}', iter=1) if model else dict(iter=1)
    torch.save(dict(meta=meta, state_dict=weights, optimizer={}, message_hub={}), path)
    return path


def files(folder, network):
    weights = network.state_dict()
    prefixed = {f'generator.{key}': value for key, value in weights.items()}
    generator = dict(type='CSNLNNet', init_cfg=dict(type='Pretrained', checkpoint='x'), **SMALL)
    model = dict(type='CSNLNEditor', generator=generator)
    yield save(folder / 'trained.pth', prefixed, model), None
    # Of a training with further networks, the generator alone.
    prefixed['discriminator.a'] = weights['head.0.0.bias']
    yield save(folder / 'gan.pth', prefixed, dict(model, type='ESRGAN')), None
    meta = dict(architecture=json.dumps(dict(type='CSNLNNet', **SMALL)))
    save_file(weights, folder / 'a.safetensors', meta)
    yield folder / 'a.safetensors', None
    save_file(weights, folder / 'bare.safetensors')
    yield folder / 'bare.safetensors', SMALL
    torch.save(weights, folder / 'weights.pt')
    yield folder / 'weights.pt', SMALL


def wrapped(weights):
    """State dicts as trainers and their wrappers leave them: the network's, beside others."""
    other = {key: torch.zeros_like(value) for key, value in weights.items()}

    def under(prefix, tensors=weights):
        return {f'{prefix}{key}': value for key, value in tensors.items()}

    count = dict(n_averaged=torch.tensor(3))
    yield 'bare', weights
    yield 'BasicSR', dict(params=weights)
    yield 'BasicSR with an average', dict(params=other, params_ema=weights)
    yield 'traiNNer-redux with metadata', dict(metadata=dict(scale=3), params_ema=weights)
    yield 'distributed', under('module.')
    yield 'distributed, in BasicSR', dict(params=under('module.'))
    yield 'compiled', dict(state_dict=under('_orig_mod.'))
    yield 'averaged by torch', dict(under('module.'), **count)
    yield 'of a GAN', dict(under('net_g.'), **under('net_d.', other))
    yield 'MMEngine', dict(state_dict=under('generator.'))
    average = dict(under('generator_ema.module.'), **{'generator_ema.steps': torch.tensor(3)})
    yield 'MMEngine with an average', dict(state_dict=dict(under('generator.', other), **average))
    yield 'MMEngine, distributed', dict(state_dict=under('module.generator.'))


def test_weights_are_found_wherever_trainers_put_them(network, tmp_path):
    open_ones = dict(image_skip=False, recurrence_skip=False, attention_recurrences=None)
    for name, content in wrapped(network.state_dict()):
        torch.save(content, tmp_path / 'a.pth')
        settings = dict(open_ones, in_scale_grid=[2, 2])
        for loaded in (
            load_network(tmp_path / 'a.pth', SMALL),
            load_network(tmp_path / 'a.pth', settings=settings),
        ):
            for key, value in network.state_dict().items():
                assert torch.equal(loaded.state_dict()[key], value), (name, key)
        with pytest.raises(UserError, match='but not image_skip, .*: name its config'):
            load_network(tmp_path / 'a.pth')


def test_settings_are_for_files_that_do_not_say_them(network, tmp_path):
    path = save(tmp_path / 'a.pth', network.state_dict(), dict(generator=dict(SMALL)))
    with pytest.raises(UserError, match='a.pth carries its settings; leave image_skip out'):
        load_network(path, settings=dict(image_skip=False))
    with pytest.raises(UserError, match='give one or the other'):
        load_network(path, SMALL, settings=dict(image_skip=False))


def test_every_kind_of_file_gives_the_network(network, tmp_path):
    x = torch.rand(1, 3, 6, 7)
    for path, architecture in files(tmp_path, network):
        loaded = load_network(path, architecture)
        assert type(loaded) is CSNLNNet and not loaded.training
        with torch.inference_mode():
            assert torch.equal(loaded(x), network(x)), path


@pytest.mark.parametrize('suffix', ['pt', 'safetensors'])
def test_released_weights_give_the_released_numbers(tmp_path, suffix):
    arrays, weights = load_golden(2)
    path = tmp_path / f'released.{suffix}'
    torch.save(weights, path) if suffix == 'pt' else save_file(weights, path)
    sizes = dict(num_recurrences=2)
    for architecture in None, sizes:
        network = load_network(path, architecture)
        sizes_found = network.upscale_factor, network.num_recurrences, network.mid_channels
        assert sizes_found == (2, 2, 128)
        assert torch.equal(network.head[0][0].weight, weights['head.0.0.weight'])


@pytest.mark.parametrize('kind', ['RRDBNet', 'mmagic.models.RRDBNet'])
def test_a_network_of_mmagic_needs_its_config(tmp_path, kind):
    model = dict(type='BaseEditModel', generator=dict(type=kind, in_channels=3))
    save(tmp_path / 'a.pth', {'generator.a': torch.ones(1)}, model)
    with pytest.raises(UserError, match=f'a.pth is of a .{kind}.*its config with --config'):
        load_network(tmp_path / 'a.pth')


def test_what_does_not_fit_is_named(network, tmp_path):
    path = save(tmp_path / 'a.pth', network.state_dict())
    with pytest.raises(UserError, match='carries no config'):
        load_network(path)
    with pytest.raises(UserError, match='a.pth does not fit the config: .* the config makes'):
        load_network(path, dict(SMALL, mid_channels=5))
    with pytest.raises(UserError, match='config for checkpoint .*a.pth is refused: .*midchannels'):
        load_network(path, dict(midchannels=5))
    model = dict(generator=dict(type='CSNLNNet', **SMALL))
    path = save(tmp_path / 'b.pth', network.state_dict(), model)
    with pytest.raises(UserError, match=r'in_scale_grid=\(2, 2\), not \(1, 1\)'):
        load_network(path, dict(SMALL, cell=None))
    torch.save([1], tmp_path / 'c.pth')
    with pytest.raises(UserError, match='c.pth holds no state dict'):
        load_network(tmp_path / 'c.pth', SMALL)


def test_a_network_is_built_once_and_has_its_mean(network, tmp_path, monkeypatch):
    """Without memory to be checked, then filled: no second network is built."""
    mean = [0.1, 0.2, 0.3]
    other = CSNLNNet(**SMALL, rgb_mean=mean)
    other.load_state_dict(network.state_dict())
    generator = dict(type='CSNLNNet', **SMALL, rgb_mean=mean)
    path = save(tmp_path / 'a.pth', other.state_dict(), dict(generator=generator))
    built, init = [], CSNLNNet.__init__

    def build(self, *args, **kwargs):
        built.append(init(self, *args, **kwargs))

    monkeypatch.setattr(CSNLNNet, '__init__', build)
    loaded = load_network(path)
    assert len(built) == 1
    assert {tensor.device.type for tensor in (*loaded.parameters(), *loaded.buffers())} == {'cpu'}
    torch.testing.assert_close(loaded.mean, other.mean, rtol=0, atol=0)
    x = torch.rand(1, 3, 7, 8)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), other.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize('value', [float('nan'), float('-inf')])
def test_weights_that_are_not_finite_are_refused(network, tmp_path, value):
    weights = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    key = next(key for key in weights if key.endswith('bias'))
    weights[key].view(-1)[-1] = value
    path = save(tmp_path / 'a.pth', weights)
    with pytest.raises(UserError, match=f"a.pth is spoiled: '{key}' has values that are not finit"):
        load_network(path, SMALL)
