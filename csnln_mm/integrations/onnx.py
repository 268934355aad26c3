"""Networks as ONNX: one graph with its weights, for a tile of a fixed size."""

import copy
import inspect
import logging
import warnings
from collections.abc import Mapping
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from csnln_mm.errors import UserError
from csnln_mm.files import write_result
from csnln_mm.integrations.onnx_int8 import quantize, read_tiles
from csnln_mm.integrations.safetensors import to_half
from csnln_mm.networks import CSNLNNet
from csnln_mm.networks.traceable import set_traceable
from csnln_mm.upscaling.tile_size import cut
from csnln_mm.version import __version__

# Of the operators in the file; what runtimes of the last years know.
OPSET = 18
# Of the weights' names in what is traced.
_PREFIX = 'network.'


def export_onnx(
    network: nn.Module,
    target: str | Path,
    *,
    tile: int = 64,
    half: bool = False,
    calibrate: Path | None = None,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write a network as an ONNX file.

    The file maps ``input``, [N, 3, tile, tile], RGB in 0..1, to ``output``, [N, 3, S tile, S tile],
    not clipped, for any N, both in float32. The program that runs it cuts images into tiles.

    Args:
        network: a :class:`~csnln_mm.networks.CSNLNNet`; not changed.
        target: file; replaced if it exists.
        tile: side of the input in pixels. Attention holds matrices of tile^4 elements, at x4 of 16
            times as many.
        half: write weights and convolutions in float16; similarities and softmax stay in float32.
        calibrate: write convolutions in 8 bits, see :mod:`~.onnx_int8`, with the ranges
            of values on the images of this folder.
        metadata: further entries of the file's metadata.

    Returns:
        The metadata of the file: ``scale``; ``tile``; ``margin``, the pixels along the border of a
        tile that should be taken from its neighbours; ``channels``, 'RGB'; ``range``, '0..1';
        ``csnln_mm_version``; and the given entries.

    Raises:
        UserError: if a required package is missing, the network is not a CSNLNNet of three
            channels, ``tile`` or ``metadata`` is not allowed, both ``half`` and ``calibrate`` are
            given, a weight is beyond float16, an image cannot be read, or ``target`` cannot be
            written. Nothing is written then.
    """
    onnx = _import_onnx()
    if not isinstance(network, CSNLNNet):
        raise UserError(f'only a CSNLNNet can be exported to ONNX, not a {type(network).__name__}')
    if network.in_channels != 3:
        raise UserError(f'the network takes images of {network.in_channels} channels, not RGB')
    if tile < 1:
        raise UserError(f'tile must be a positive number of pixels, got {tile}')
    if half and calibrate:
        raise UserError('a file is written in float16 or in 8 bits, not both')
    meta = dict(
        scale=str(network.upscale_factor),
        tile=str(tile),
        margin=str(cut((tile, tile), network, tile, None).margin),
        channels='RGB',
        range='0..1',
    )
    for key in metadata or {}:
        if key in meta:
            raise UserError(f'the metadata {key!r} follows from the export; leave it out')
    meta.update(dict(csnln_mm_version=__version__), **(metadata or {}))
    network = set_traceable(copy.deepcopy(network)).cpu().float().eval().requires_grad_(False)
    _replace_transposed(network)
    if half:
        for key, value in network.state_dict().items():
            to_half(key, value)
        network = network.half()
    tiles = read_tiles(calibrate, tile) if calibrate else []
    model = _assemble(network, tile)
    if tiles:
        model = quantize(model, tiles)
    onnx.helper.set_model_props(model, meta)
    onnx.checker.check_model(model, full_check=True)
    write_result(Path(target), model.SerializeToString())
    return meta


def _assemble(network: CSNLNNet, tile: int) -> Any:
    """The network as onnx's protocol buffer.

    All recurrences have the same cell. It is traced once, which takes the time, and its nodes are
    repeated.
    """
    from onnx import GraphProto, TensorProto, helper, numpy_helper, shape_inference

    parts = _Parts(network)
    model = _trace(parts, tile)
    graph = GraphProto(name='csnln', initializer=model.graph.initializer)
    for weight in graph.initializer:
        weight.name = weight.name.removeprefix(_PREFIX)
    image = 'start.image' if network.image_skip else 'mean'
    _append(graph, model.graph, 'start', parts.start)
    features, count = 'start.first', network.num_recurrences
    for i, kernel in enumerate(network.reconstruct.weight.chunk(count, 1), 1):
        step = f'recurrence_{i}'
        following, hidden = _outputs(parts.kind(i))
        outputs = [hidden] if i == count else [following, hidden]
        _append(graph, model.graph, step, outputs, features=features)
        weights = {f'reconstruct.weight.{i}': kernel}
        if i == 1:
            weights['reconstruct.bias'] = network.state_dict()['reconstruct.bias']
        for name, weight in weights.items():
            graph.initializer.append(numpy_helper.from_array(weight.numpy(), name))
        inputs, part, total = [f'{step}.{hidden}', *weights], f'{step}.part', f'{step}.image'
        graph.node.append(helper.make_node('Conv', inputs, [part], part, pads=[1, 1, 1, 1]))
        graph.node.append(helper.make_node('Add', [image, part], [total], total))
        features, image = f'{step}.{following}', total
    if network.mean.dtype == torch.half:
        cast = helper.make_node('Cast', [image], ['output'], 'output', to=TensorProto.FLOAT)
        graph.node.append(cast)
    graph.node[-1].output[0] = 'output'
    used = {name for node in graph.node for name in node.input}
    initializers = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    side = network.upscale_factor * tile
    for values, name, size in (graph.input, 'input', tile), (graph.output, 'output', side):
        shape = 'batch', 3, size, size
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.graph.CopyFrom(graph)
    return shape_inference.infer_shapes(model)


class _Parts(nn.Module):
    """What comes before the recurrences, and each kind of recurrence, side by side.

    Attributes:
        kinds: of recurrences.
        start: names of what comes before them returns.
        outputs: all names.
    """

    def __init__(self, network: CSNLNNet) -> None:
        super().__init__()
        self.network = network
        self.kinds = sorted({self.kind(i) for i in range(1, network.num_recurrences + 1)})
        self.start = ['first', 'image'][: 1 + network.image_skip]
        self.outputs = [*self.start, *(name for kind in self.kinds for name in _outputs(kind))]

    def kind(self, recurrence: int) -> str:
        """What the cell does in a recurrence, from 1."""
        attending = self.network.attention_recurrences
        return 'whole' if attending is None or recurrence in attending else 'local'

    def forward(self, image: Tensor, features: Tensor) -> list[Tensor]:
        network = self.network
        outputs = list(network.start(image.to(features.dtype)))[: len(self.start)]
        for kind in self.kinds:
            following, hidden = network.cell(features, attention=kind == 'whole')
            assert following is not None  # as after the last recurrence only
            outputs += features + following if network.recurrence_skip else following, hidden
        return outputs


def _outputs(kind: str) -> list[str]:
    """Names of what a kind of recurrence returns."""
    return [f'{kind}.following', f'{kind}.hidden']


def _trace(parts: _Parts, tile: int) -> Any:
    """Trace the parts, of any batch size, into onnx's protocol buffer."""
    network, batch = parts.network, torch.export.Dim('batch')
    # Torch would take a batch of 1 for a constant.
    examples = (
        torch.zeros(2, 3, tile, tile),
        network.mean.new_zeros(2, network.mid_channels, tile, tile),
    )
    # The exporter logs its progress, which is of no use to users.
    quiet = logging.getLogger('onnxscript')
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            program: Any = torch.onnx.export(
                parts.eval(),
                examples,
                input_names=['input', 'features'],
                output_names=parts.outputs,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: batch}, {0: batch}),
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    return program.model_proto


def _append(graph: Any, parts: Any, step: str, outputs: list[str], **names: str) -> None:
    """Append what some outputs of the parts depend on.

    Args:
        graph: has the parts' weights and their input ``input``.
        parts: the parts' graph.
        step: unique in the graph; the new nodes and values are called ``step.name``.
        outputs: names in the parts.
        names: of other inputs of the parts in the graph.
    """
    names |= {'': '', 'input': 'input'}
    names |= {weight.name: weight.name.removeprefix(_PREFIX) for weight in parts.initializer}
    used, nodes = set(outputs), []
    for node in reversed(parts.node):
        if not used.isdisjoint(node.output):
            used.update(node.input)
            nodes.append(node)
    for node in reversed(nodes):
        graph.node.append(node)
        node = graph.node[-1]
        node.name = f'{step}.{node.name}'
        for values in node.input, node.output:
            values[:] = [names.get(value, f'{step}.{value}') for value in values]


def _import_onnx() -> ModuleType:
    """Import onnx; UserError if something that exporting needs is missing or too old."""
    try:
        import_module('onnxscript')
        onnx = import_module('onnx')
    except ImportError as error:
        raise UserError(
            f'export to ONNX needs the package {error.name}: pip install "csnln-mm[onnx]"'
        ) from error
    if 'dynamic_shapes' not in inspect.signature(torch.onnx.export).parameters:
        raise UserError(
            f'torch {torch.__version__} is too old to export the network to ONNX; it was tested '
            'with torch 2.14'
        )
    return onnx


def _replace_transposed(module: nn.Module) -> None:
    """Replace a network's transposed convolutions, where the other form has no more work."""
    for name, child in module.named_children():
        if isinstance(child, nn.ConvTranspose2d) and _is_shuffled(child):
            setattr(module, name, _ShuffledConv(child))
        else:
            _replace_transposed(child)


def _is_shuffled(conv: nn.ConvTranspose2d) -> bool:
    """Whether :class:`_ShuffledConv` computes the same as this one."""
    s = conv.stride[0]
    form = conv.kernel_size, conv.stride, conv.padding, conv.output_padding, conv.dilation
    plain = conv.groups == 1 and conv.bias is not None
    return plain and form == ((3 * s, 3 * s), (s, s), (s, s), (0, 0), (1, 1))


class _ShuffledConv(nn.Sequential):
    """A transposed convolution as a 3x3 convolution and a pixel shuffle: faster in onnxruntime.

    Args:
        transposed: with a stride s, a kernel size 3 s and a padding s.
    """

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        scale, channels = transposed.stride[0], transposed.out_channels
        conv = nn.Conv2d(transposed.in_channels, channels * scale**2, 3, padding=1)
        # Of output pixel s y + r and input pixel y + d, the kernel's element s + r - s d.
        shape = channels, scale, scale, transposed.in_channels, 3, 3
        kernels = conv.weight.data.view(shape)
        for y, x, row, column in product(range(scale), range(scale), range(3), range(3)):
            element = transposed.weight[..., y + scale * (2 - row), x + scale * (2 - column)]
            kernels[:, y, x, :, row, column] = element.T
        assert transposed.bias is not None
        conv.bias = nn.Parameter(transposed.bias.repeat_interleave(scale**2))
        super().__init__(conv, nn.PixelShuffle(scale))
        self.requires_grad_(False)
