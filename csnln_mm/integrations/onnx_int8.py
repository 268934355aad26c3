"""ONNX files with convolutions in 8 bits, by onnxruntime's static quantization."""

import logging
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import middle_crops

# How many of a folder's images the ranges of values are taken from.
_IMAGES = 24


def read_tiles(folder: Path, tile: int) -> list[np.ndarray]:
    """Read the tiles that :func:`quantize` takes the ranges of values from.

    Args:
        folder: of images like those that the network will upscale.
        tile: side of a tile in pixels.

    Returns:
        For each of at most 24 images up to four tiles from its middle, float32 RGB in 0..1,
        [N, 3, tile, tile].

    Raises:
        UserError: if onnxruntime is missing, or the folder's images cannot be read.
    """
    _import_quantization()
    tiles = []
    for crop in middle_crops(folder, _IMAGES, 2 * tile):
        missing = [(0, -side % tile) for side in crop.shape[:2]]
        crop = np.pad(crop, [*missing, (0, 0)], 'edge').astype(np.float32) / 255
        rows, columns = (side // tile for side in crop.shape[:2])
        grid = crop.reshape(rows, tile, columns, tile, 3).transpose(0, 2, 4, 1, 3)
        tiles.append(grid.reshape(-1, 3, tile, tile))
    return tiles


def quantize(model: Any, tiles: Iterable[np.ndarray]) -> Any:
    """Quantize the convolutions of an ONNX model, except those that read or write the image.

    Weights become int8, inputs and outputs uint8, in the range that they have on the tiles.
    Convolutions that read or write the image need finer steps and stay in float32.

    Args:
        model: an export, with the input ``input``.
        tiles: for its input.

    Returns:
        The quantized model, with the same input and output.
    """
    import onnx

    quantization = _import_quantization()
    inputs = (dict(input=batch) for batch in tiles)
    sizes = {weight.name: min(weight.dims[:2]) for weight in model.graph.initializer}
    bands = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    # The kernels that write the image are parts of one weight, so these have none of their own.
    convs = [
        node.name
        for node in model.graph.node
        if node.op_type == 'Conv' and sizes.get(node.input[1], 0) > bands
    ]
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # advice for those who call its functions
    try:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch, 'quantized.onnx')
            quantization.quantize_static(
                model,
                target,
                SimpleNamespace(get_next=lambda: next(inputs, None)),
                nodes_to_quantize=convs,
                # What processors with 8-bit instructions multiply.
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
            return onnx.load(target)
    finally:
        logging.disable(before)


def _import_quantization() -> ModuleType:
    try:
        return import_module('onnxruntime.quantization')
    except ImportError as error:
        raise UserError(f'8 bits need the package {error.name}: pip install onnxruntime') from error
