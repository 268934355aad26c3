"""Upscale an image with an exported network: this needs numpy, Pillow and onnxruntime only.

usage: python upscale_onnx.py NETWORK.onnx IMAGE UPSCALED
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


def upscale(session: onnxruntime.InferenceSession, image: np.ndarray, overlap: int) -> np.ndarray:
    """Upscale tile by tile; where tiles overlap, the weight of each rises from its border.

    Within the margin in the file's metadata it is almost zero, except where the image ends.

    Args:
        session: with a file that ``csnln export --format onnx`` wrote.
        image: [H, W, 3], RGB in 0..1, any size.
        overlap: number of pixels that neighbouring tiles share at least; at most half a tile.

    Returns:
        [scale H, scale W, 3].
    """
    metadata = session.get_modelmeta().custom_metadata_map
    scale, tile = int(metadata['scale']), int(metadata['tile'])
    margin = min(int(metadata.get('margin', 0)), overlap // 2)
    height, width = image.shape[:2]
    # An image smaller than a tile is padded with its last row and column.
    missing = [(0, max(0, tile - side)) for side in (height, width)]
    image = np.pad(image, [*missing, (0, 0)], 'edge').astype(np.float32)
    position = np.arange(scale * tile) + 0.5
    ramp = np.minimum(position, position[::-1]) - scale * margin
    ramp = (ramp / max(1, scale * (overlap - 2 * margin))).clip(1e-6, 1)
    weights = (ramp[:, None] * ramp)[..., None]
    total = np.zeros((scale * image.shape[0], scale * image.shape[1], 3))
    total_weights = np.zeros((*total.shape[:2], 1))
    for row in starts(image.shape[0], tile, overlap, scale):
        for column in starts(image.shape[1], tile, overlap, scale):
            lq = image[row : row + tile, column : column + tile].transpose(2, 0, 1)[None]
            (output,) = session.run(None, {'input': np.ascontiguousarray(lq)})
            area = tuple(np.s_[scale * i : scale * (i + tile)] for i in (row, column))
            total[area] += weights * output[0].transpose(1, 2, 0)
            total_weights[area] += weights
    return (total / total_weights)[: scale * height, : scale * width]


def starts(side: int, tile: int, overlap: int, scale: int) -> list[int]:
    """Where tiles begin along a side: evenly spread, all but the last on multiples of the scale."""
    step, last = tile - overlap, side - tile
    unit = scale if step >= scale else 1
    count = -(-last // step)
    while True:
        begin = sorted({last * i // count // unit * unit for i in range(count)} | {last})
        if all(after - before <= step for before, after in zip(begin, begin[1:])):
            return begin
        count += 1  # rounding to multiples took from an overlap


def main(network: str, source: str, target: str) -> None:
    options = onnxruntime.SessionOptions()
    # Attention weights below 1e-38 become 0; a CPU is many times as slow with such numbers.
    options.add_session_config_entry('session.set_denormal_as_zero', '1')
    providers = ['CPUExecutionProvider']
    try:
        session = onnxruntime.InferenceSession(network, options, providers=providers)
    except Exception as error:  # onnxruntime has a class of its own for each reason
        sys.exit(f'{network} cannot be loaded: {" ".join(str(error).split()):.200}')
    metadata = session.get_modelmeta().custom_metadata_map
    numbers = [metadata.get(key, '') for key in ('scale', 'tile', 'margin')]
    if not all(n.isdecimal() for n in numbers) or not 1 <= int(numbers[0]) <= 8:
        sys.exit(f'{network} has no metadata of csnln export: scale, tile and margin')
    tile, margin = int(numbers[1]), int(numbers[2])
    if session.get_inputs()[0].shape[1:] != [3, tile, tile] or 2 * margin >= tile:
        sys.exit(f'{network}: tile and margin in the metadata do not fit its input')
    with Image.open(source) as image:
        pixels = np.asarray(image.convert('RGB')) / 255
    upscaled = upscale(session, pixels, overlap=2 * margin or min(8, tile // 4))
    Image.fromarray((255 * upscaled.clip(0, 1)).round().astype(np.uint8)).save(target)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
