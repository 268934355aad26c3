"""CSNLN in the programs that load models with spandrel: the real one, and tiled as ComfyUI does."""

import importlib.util
import itertools
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from tiny_network import photograph, save_checkpoint

from csnln_mm import integrations
from csnln_mm.checkpoints.convert import convert_to_released_file
from csnln_mm.errors import UserError
from csnln_mm.integrations.safetensors import export_safetensors
from csnln_mm.upscaling import Upscaler

spandrel = pytest.importorskip('spandrel')

from csnln_mm.integrations.spandrel import register  # noqa: E402

register()
load = spandrel.ModelLoader().load_from_file

COMPACT = dict(
    mid_channels=4,
    num_recurrences=2,
    attention_recurrences=[2],
    image_skip=True,
    recurrence_skip=True,
)
RELEASED = dict(mid_channels=4, num_recurrences=2, image_skip=False)


def export(folder, **settings):
    export_safetensors(save_checkpoint(folder / 'a.pth', **settings), folder / 'a.safetensors')
    return folder / 'a.safetensors'


@pytest.fixture
def compact(tmp_path):
    return export(tmp_path, **COMPACT)


def to_tensor(image):
    """[H, W, 3] in 0..255 -> [1, 3, H, W] in 0..1; a view that is not contiguous, as in ComfyUI."""
    return torch.from_numpy(image.astype(np.float32) / 255)[None].movedim(-1, -3)


def to_image(tensor):
    return tensor[0].movedim(0, -1).mul(255).round().byte().numpy()


@pytest.mark.parametrize('scale, kind', [(2, 'file'), (3, 'export'), (4, 'file'), (4, 'compact')])
def test_it_gives_the_upscalers_image(tmp_path, scale, kind):
    file = export(tmp_path, upscale_factor=scale, **(COMPACT if kind == 'compact' else RELEASED))
    if kind == 'file':
        convert_to_released_file(file, tmp_path / 'released.pt')
        file = tmp_path / 'released.pt'
    model = load(file)
    assert isinstance(model, spandrel.ImageModelDescriptor)
    assert (model.architecture.id, model.purpose, model.scale) == ('CSNLN', 'SR', scale)
    assert (model.input_channels, model.output_channels) == (3, 3)
    assert model.tags[0] == '4nf' and model.tiling is spandrel.ModelTiling.INTERNAL
    image = photograph(20, 26)
    result = model(to_tensor(image))
    np.testing.assert_array_equal(to_image(result), Upscaler(file, device='cpu')(image))


@pytest.mark.parametrize('channels', [1, 4])
def test_a_network_of_other_channels_says_so(tmp_path, channels):
    sizes = dict(in_channels=channels, out_channels=channels, rgb_mean=[0.4] * channels)
    model = load(export(tmp_path, upscale_factor=2, **COMPACT, **sizes))
    assert (model.input_channels, model.output_channels) == (channels, channels)
    image = torch.rand(1, channels, 10, 12)
    torch.testing.assert_close(model(image), model.model.network(image).clamp(0, 1))
    with pytest.raises(UserError, match=f'takes images of {channels} channels, not 3'):
        model(torch.rand(1, 3, 10, 12))


def test_a_hosts_large_tile_is_cut_and_each_part_is_told(compact):
    seen = []
    model = load(compact)
    sides = []
    model.model.network.register_forward_pre_hook(lambda _, x: sides.extend(x[0].shape[-2:]))
    model.model.on_tile = lambda done, total: seen.append((done, total))
    model(torch.rand(1, 3, 100, 128))
    assert max(sides) == 64
    tiling = Upscaler(compact, device='cpu').tiling(128, 100)
    assert seen == [(i + 1, tiling.count) for i in range(tiling.count)] and len(seen) == 6


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_16_bits_keep_the_image(compact, dtype):
    """Also where similarities are beyond what float16 holds."""
    image = to_tensor(photograph(40, 44))
    model = load(compact)
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            if 'query.0.weight' in name or 'key.0.weight' in name:
                parameter.mul_(1000)
    expected = model(image)
    result = model.to(dtype)(image.to(dtype))
    assert result.dtype == dtype and result.isfinite().all()
    assert (result.float() - expected).abs().max() < 4 / 255


def test_memory_that_runs_out_halves_the_tile(compact):
    model = load(compact)
    image = torch.rand(1, 3, 70, 64)
    most = 32

    def refuse(module, inputs):
        if max(inputs[0].shape[-2:]) > most:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory')

    expected = Upscaler(compact, device='cpu', tile=32)
    model.model.network.register_forward_pre_hook(refuse)
    result = to_image(model(image))
    with torch.inference_mode():
        assert np.abs(result.astype(int) - expected(to_image(image))).max() <= 2
    most = 16
    # What hosts catch to try with less.
    with pytest.raises(torch.cuda.OutOfMemoryError):
        model(image)


def test_without_spandrel_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'spandrel', None)
    monkeypatch.delitem(sys.modules, 'csnln_mm.integrations.spandrel')
    with pytest.raises(UserError, match=r'needs spandrel .*pip install "csnln-mm\[spandrel\]"'):
        importlib.import_module('csnln_mm.integrations.spandrel')


def test_a_file_that_lies_is_refused(compact, tmp_path):
    state_dict = spandrel.ModelLoader().load_state_dict_from_file(compact)
    state_dict['head.0.0.weight'] = torch.ones(5, 3, 3, 3)
    with pytest.raises(UserError, match='does not fit the config: head.0.0.weight is'):
        spandrel.ModelLoader().load_from_state_dict(state_dict)


def test_other_models_are_left_to_others():
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_state_dict({'head.0.0.weight': torch.ones(1)})


def tiled_scale(image, model, tile, overlap=32):
    """The image as ComfyUI upscales it: in tiles whose borders are feathered over the overlap."""
    scale = model.scale
    starts = [
        sorted({max(0, min(side - overlap, i)) for i in range(0, side, tile - overlap)})
        for side in image.shape[-2:]
    ]
    out, weights = 0, 0
    size = [scale * side for side in image.shape[-2:]]
    for row, column in itertools.product(*starts):
        y = model(image[..., row : row + tile, column : column + tile])
        ramps = []
        for length in y.shape[-2:]:
            position = torch.arange(1, length + 1)
            ramp = torch.minimum(position, position.flip(0)) / (scale * overlap)
            ramps.append(ramp.clamp(max=1))
        mask = ramps[0][:, None] * ramps[1]
        left, top = scale * column, scale * row
        place = left, size[1] - left - y.shape[-1], top, size[0] - top - y.shape[-2]
        out = out + torch.nn.functional.pad(y * mask, place)
        weights = weights + torch.nn.functional.pad(mask, place)
    return out / weights


def test_the_comfyui_folder(compact, tmp_path, monkeypatch):
    """Copied into custom_nodes, it has ComfyUI's nodes load and run the network."""
    folder = tmp_path / 'custom_nodes/csnln'
    ignored = shutil.ignore_patterns('__pycache__')
    shutil.copytree(Path(integrations.__file__).parent / 'comfyui', folder, ignore=ignored)
    moves = []

    class ProgressBar:
        def __init__(self, total):
            self.total = total

        def update_absolute(self, value):
            moves.append((value, self.total))

    class Interrupted(Exception):
        pass

    cancelled_after = []
    checks = []

    def throw_exception_if_processing_interrupted():
        checks.append(len(moves))
        if len(moves) in cancelled_after:
            raise Interrupted

    utils = types.SimpleNamespace(ProgressBar=ProgressBar)
    management = types.SimpleNamespace(
        throw_exception_if_processing_interrupted=throw_exception_if_processing_interrupted
    )
    monkeypatch.setitem(sys.modules, 'comfy', types.SimpleNamespace(utils=utils))
    monkeypatch.setitem(sys.modules, 'comfy.utils', utils)
    monkeypatch.setitem(sys.modules, 'comfy.model_management', management)
    spec = importlib.util.spec_from_file_location('csnln_nodes', folder / '__init__.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        assert module.NODE_CLASS_MAPPINGS == {}
        # The nodes: load a state dict; upscale a view of [N, H, W, C] in tiles.
        state_dict = spandrel.ModelLoader().load_state_dict_from_file(compact)
        model = spandrel.ModelLoader().load_from_state_dict(state_dict).eval()
        image = photograph(40, 150)
        whole = to_image(tiled_scale(to_tensor(image), model, tile=512))
        np.testing.assert_array_equal(whole, Upscaler(compact, device='cpu')(image))
        tiles = moves[-1][1]
        assert moves == [(i + 1, tiles) for i in range(tiles)] and tiles > 1
        assert {checks.count(i) for i in range(tiles)} == {checks.count(0)} and checks.count(0) > 9
        moves.clear()
        cancelled_after.append(1)
        with pytest.raises(Interrupted):
            model(to_tensor(image))
        assert len(moves) == 1
        cancelled_after.clear()
        # After the host has halved its tiles as far as it does: no seam shows.
        parts = to_image(tiled_scale(to_tensor(image), model, tile=128))
        assert np.abs(whole.astype(int) - parts).max() <= 6
    finally:
        register()


def test_a_spandrel_with_the_architecture_of_the_example_needs_no_registration(compact, tmp_path):
    """Of a spandrel that knows CSNLN itself, in a program without this package."""
    shutil.copytree(Path(spandrel.__file__).parent, tmp_path / 'spandrel')
    example = Path(__file__).parents[2] / 'docs/examples/spandrel_upstream.py'
    run(sys.executable, example, tmp_path / 'spandrel')
    image = photograph(20, 22)
    torch.save(torch.from_numpy(image).permute(2, 0, 1)[None] / 255, tmp_path / 'in.pt')
    host = """
import sys
import torch
from spandrel import ModelLoader
model = ModelLoader().load_from_file(sys.argv[1])
torch.save(model(torch.load(sys.argv[2])), sys.argv[3])
assert 'csnln_mm' not in sys.modules
"""
    files = [compact, tmp_path / 'in.pt', tmp_path / 'out.pt']
    run(sys.executable, '-c', host, *files, cwd=tmp_path)
    result = torch.load(tmp_path / 'out.pt')[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    np.testing.assert_array_equal(result, Upscaler(compact, device='cpu')(image))
