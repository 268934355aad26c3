#!/usr/bin/env python
"""PSNR of an image whose values lie in other ranges than those of 8 bits.

python benchmarks/value_ranges.py kodim23.png
"""

import argparse

import numpy as np
import torch

from csnln_mm.images import mod_crop
from csnln_mm.images.image_file import read_rgb
from csnln_mm.ops.imresize import imresize
from csnln_mm.upscaling import Upscaler

# Name, type, and the values of black and white.
FILES = [
    ('8 bits', np.uint8, 0, 255),
    ('16 bits', np.uint16, 0, 65535),
    ('12 bits in uint16', np.uint16, 0, 4095),
    ('10 bits in uint16', np.uint16, 0, 1023),
    ('8 bits in uint16', np.uint16, 0, 255),
    ('0 to 10000 in uint16', np.uint16, 0, 10000),
    ('-1024 to 3071 in int16', np.int16, -1024, 3071),
    ('float32, 0 to 1', np.float32, 0, 1),
    ('float32, -3 to 7', np.float32, -3, 7),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('image')
    args = parser.parse_args()
    luma = (read_rgb(args.image) @ np.array([0.299, 0.587, 0.114])).round()
    upscalers = {scale: Upscaler(scale=scale, device='cpu') for scale in (2, 4)}
    print('| file | x2 | x2, full | x4 | x4, full |\n| --- | --- | --- | --- | --- |')
    for name, dtype, low, high in FILES:
        cells = [name]
        for scale, upscaler in upscalers.items():
            gt = mod_crop(luma, scale)
            small = imresize(torch.from_numpy(gt), tuple(side // scale for side in gt.shape))
            pixels = small.clamp(0, 255).numpy() / 255 * (high - low) + low
            pixels = (pixels if dtype == np.float32 else pixels.round()).astype(dtype)
            for option in None, 'full':
                result = upscaler(pixels, value_range=option).astype(np.float64)
                difference = ((result - low) / (high - low) * 255 - gt)[scale:-scale, scale:-scale]
                cells.append(f'{10 * np.log10(255**2 / np.mean(difference**2)):.2f}')
        print(f'| {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
    main()
