"""ONNX files: what onnxruntime makes of them is what torch makes of the network."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import error_in, refusal
from PIL import Image
from tiny_network import photograph, save_checkpoint

from csnln_mm.checkpoints import load_network
from csnln_mm.cli import main
from csnln_mm.networks import BicubicUpsampler, CSNLNNet
from csnln_mm.upscaling import Upscaler

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

from csnln_mm.errors import UserError  # noqa: E402
from csnln_mm.integrations.onnx import OPSET, export_onnx  # noqa: E402

RUNNER = Path(__file__).parents[2] / 'docs/examples/upscale_onnx.py'


def assert_same(path, network, x, atol=1e-4):
    """onnxruntime's result for a file is the network's."""
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    actual = torch.from_numpy(session.run(None, {'input': x.numpy()})[0])
    with torch.inference_mode():
        torch.testing.assert_close(actual, network(x), rtol=0, atol=atol)


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.fixture(scope='module')
def compact(tmp_path_factory):
    """A checkpoint for x2 with attention in one of two recurrences, and its export."""
    folder = tmp_path_factory.mktemp('compact')
    checkpoint = save_checkpoint(
        folder / 'a.pth',
        num_recurrences=2,
        attention_recurrences=[2],
        recurrence_skip=True,
        upscale_factor=2,
    )
    words = f'export {checkpoint} -o {folder / "a.onnx"} --format onnx --tile 16'
    assert main([*words.split(), '--metadata', 'license=mit']) == 0
    return checkpoint, folder / 'a.onnx'


def test_the_compact_network(compact):
    checkpoint, path = compact
    for batch in 1, 3:
        assert_same(path, load_network(checkpoint), torch.rand(batch, 3, 16, 16))


@pytest.mark.parametrize('scale', [3, 4])
def test_other_scales(tmp_path, scale):
    """The one branch that knows the scale."""
    torch.manual_seed(0)
    options = dict(upscale_factor=scale, cell=dict(branches=['cross_scale']))
    network = CSNLNNet(mid_channels=2, num_recurrences=1, **options).eval()
    export_onnx(network, tmp_path / 'a.onnx', tile=8)
    assert_same(tmp_path / 'a.onnx', network, torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_transposed_convolutions_become_others_where_that_is_no_more_work(tmp_path, scale):
    torch.manual_seed(0)
    options = dict(upscale_factor=scale, cell=dict(branches=['local']))
    network = CSNLNNet(mid_channels=4, num_recurrences=1, **options).eval()
    export_onnx(network, tmp_path / 'a.onnx', tile=8)
    assert_same(tmp_path / 'a.onnx', network, torch.rand(2, 3, 8, 8), atol=1e-6)
    operators = {node.op_type for node in onnx.load(tmp_path / 'a.onnx').graph.node}
    assert ('DepthToSpace' in operators, 'ConvTranspose' in operators) == (scale < 4, scale == 4)


def test_half_precision(tmp_path):
    """Softmax in float32, so that similarities beyond float16 do no harm."""
    network = CSNLNNet(mid_channels=4, num_recurrences=1, cell=dict(branches=['in_scale'])).eval()
    torch.nn.init.constant_(network.cell.stages[0].in_scale_attention.query[0].bias, 4e4)
    export_onnx(network, tmp_path / 'a.onnx', tile=8, half=True)
    assert_same(tmp_path / 'a.onnx', network, torch.rand(2, 3, 8, 8), atol=5e-3)
    graph = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / 'a.onnx')).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    softmaxes = [node for node in graph.node if node.op_type == 'Softmax']
    assert [types[node.output[0]] for node in softmaxes] == [onnx.TensorProto.FLOAT]
    assert {value.data_type for value in graph.initializer if len(value.dims) == 4} == {
        onnx.TensorProto.FLOAT16
    }
    network.head[0][0].bias.data[0] = 1e5
    with pytest.raises(UserError, match="'head.0.0.bias' has values beyond float16"):
        export_onnx(network, tmp_path / 'b.onnx', half=True)
    assert not (tmp_path / 'b.onnx').exists()


def test_the_file_says_what_it_is(compact):
    _, path = compact
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [('', OPSET)]
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == dict(input=['batch', 3, 16, 16], output=['batch', 3, 32, 32])
    entries = metadata(path)
    assert entries.pop('csnln_mm_version')
    assert entries == dict(
        dict(scale='2', tile='16', margin='0', channels='RGB', range='0..1'),
        source='a.pth',
        license='mit',
    )


@pytest.mark.parametrize('size', [(40, 27), (33, 16), (9, 12)])
def test_the_example_upscales_any_image_without_torch(compact, tmp_path, monkeypatch, size):
    checkpoint, path = compact
    image = photograph(*size)
    Image.fromarray(image).save(tmp_path / 'a.png')
    words = [str(RUNNER), str(path), str(tmp_path / 'a.png'), str(tmp_path / 'b.png')]
    with monkeypatch.context() as patch:
        patch.setattr(sys, 'argv', words)
        for name in 'torch', 'csnln_mm', 'cv2':  # None stands for a package that is not installed
            patch.setitem(sys.modules, name, None)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(RUNNER), run_name='__main__')
    assert not ended.value.code
    actual = np.asarray(Image.open(tmp_path / 'b.png'))
    # An image smaller than a tile: what fills it up is seen, and cut off.
    filled = np.pad(image, [*((0, max(0, 16 - side)) for side in size), (0, 0)], 'edge')
    expected = Upscaler(checkpoint, tile=16, overlap=4, device='cpu')(filled)
    expected = expected[: 2 * size[0], : 2 * size[1]]
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected).max() <= 1


def test_tiles_of_the_example_equal_the_whole_image_without_attention(tmp_path):
    torch.manual_seed(0)
    options = dict(num_recurrences=1, cell=dict(branches=['local']))
    network = CSNLNNet(mid_channels=4, **options).eval()
    for weight in network.parameters():  # so that it matters what lies beyond the border
        weight.data *= 2
    export_onnx(network, tmp_path / 'a.onnx', tile=16)
    assert metadata(tmp_path / 'a.onnx')['margin'] == '4'
    image = photograph(40, 27)
    Image.fromarray(image).save(tmp_path / 'a.png')
    main = runpy.run_path(str(RUNNER))['main']
    main(str(tmp_path / 'a.onnx'), str(tmp_path / 'a.png'), str(tmp_path / 'b.png'))
    actual = np.asarray(Image.open(tmp_path / 'b.png'))
    expected = Upscaler(network, tile=0, device='cpu')(image)
    assert np.abs(actual.astype(int) - expected).max() <= 1


@pytest.mark.parametrize('change', [dict(scale=None), dict(tile='8'), dict(margin='9')])
def test_the_example_checks_the_files_metadata(compact, tmp_path, change):
    model = onnx.load(compact[1])
    entries = {**metadata(compact[1]), **change}
    onnx.helper.set_model_props(model, {k: v for k, v in entries.items() if v is not None})
    onnx.save(model, tmp_path / 'a.onnx')
    Image.fromarray(photograph(9, 12)).save(tmp_path / 'a.png')
    with pytest.raises(SystemExit, match='metadata'):
        runpy.run_path(str(RUNNER))['main'](
            str(tmp_path / 'a.onnx'), str(tmp_path / 'a.png'), str(tmp_path / 'b.png')
        )
    assert not (tmp_path / 'b.png').exists()


def test_openvino_runs_the_file_and_rounds_what_it_saves(compact, tmp_path):
    openvino = pytest.importorskip('openvino')
    x = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    expected = onnxruntime.InferenceSession(compact[1]).run(None, {'input': x})[0]
    hint = dict(INFERENCE_PRECISION_HINT='f32')  # processors with bfloat16 would use it
    saved = openvino.convert_model(compact[1])
    for name, options in (('half', {}), ('whole', dict(compress_to_fp16=False))):
        openvino.save_model(saved, tmp_path / f'{name}.xml', **options)
    error = {
        path: np.abs(openvino.compile_model(path, 'CPU', hint)(x)[0] - expected).max()
        for path in (compact[1], tmp_path / 'whole.xml', tmp_path / 'half.xml')
    }
    assert error[compact[1]] < 1e-5 and error[tmp_path / 'whole.xml'] < 1e-5
    assert 1e-5 < error[tmp_path / 'half.xml'] < 1e-2


def test_8_bits(tmp_path):
    """Of all convolutions that neither read nor write the image; it is still the network's."""
    cell = dict(branches=['local'])
    checkpoint = save_checkpoint(tmp_path / 'a.pth', num_recurrences=2, cell=cell)
    (tmp_path / 'images').mkdir()
    for i, size in enumerate([(40, 27), (9, 12)]):  # larger and smaller than a tile
        Image.fromarray(photograph(*size)).save(tmp_path / f'images/{i}.png')
    words = f'export {checkpoint} -o {tmp_path / "a.onnx"} --format onnx --tile 16 --int8'
    assert main([*words.split(), '--calibrate', str(tmp_path / 'images')]) == 0
    graph = onnx.load(tmp_path / 'a.onnx').graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    convs = [node for node in graph.node if node.op_type == 'Conv']
    eight = [makers.get(node.input[1]) == 'DequantizeLinear' for node in convs]
    assert not eight[0] and eight.count(False) == 3 and eight.count(True) == 5
    x = torch.from_numpy(photograph(16, 16)).permute(2, 0, 1)[None] / 255
    assert_same(tmp_path / 'a.onnx', load_network(checkpoint), x, atol=0.02)
    with pytest.raises(AssertionError):
        assert_same(tmp_path / 'a.onnx', load_network(checkpoint), x)


def test_mistakes_end_in_one_line(tmp_path, monkeypatch, capsys):
    network = CSNLNNet(mid_channels=4, num_recurrences=1)
    for given, options, message in (
        (network, dict(tile=0), 'tile must be a positive number of pixels, got 0'),
        (network, dict(metadata=dict(scale='5')), "'scale' follows from the export"),
        (BicubicUpsampler(2), {}, 'only a CSNLNNet can be exported to ONNX'),
        (
            CSNLNNet(in_channels=1, out_channels=1, rgb_mean=[0.4]),
            {},
            'takes images of 1 channels, not RGB',
        ),
    ):
        with pytest.raises(UserError, match=message):
            export_onnx(given, tmp_path / 'a.onnx', **options)
    checkpoint = save_checkpoint(tmp_path / 'a.pth')
    words = 'export', checkpoint, '-o', tmp_path / 'a.onnx', '--tile', 16
    assert '--tile is only for --format onnx' in refusal(capsys, *words)
    words = *words, '--format', 'onnx'
    assert '--int8 and --calibrate DIR go together' in refusal(capsys, *words, '--int8')
    assert '--int8 and --calibrate DIR go together' in refusal(capsys, *words, '--calibrate', '.')
    words = *words, '--int8', '--calibrate', tmp_path
    for more, message in (
        ([], f'there are no images in {tmp_path}'),
        (['--half'], 'in float16 or in 8 bits, not both'),
    ):
        assert main([str(word) for word in (*words, *more)]) == 2
        assert message in error_in(capsys.readouterr().err)
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(UserError, match=r'needs the package onnxscript: pip install "csnln-mm'):
        export_onnx(network, tmp_path / 'a.onnx')
    assert not (tmp_path / 'a.onnx').exists()
