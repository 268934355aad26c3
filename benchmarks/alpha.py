#!/usr/bin/env python
"""PSNR of transparency that the network, or bicubic interpolation, has upscaled.

python benchmarks/alpha.py logos --scale 2 3 4

The images of a folder are reduced by MATLAB's bicubic, colours weighted with their opacity, and
upscaled again. Printed is the mean PSNR of alpha, and of the image on a checkerboard.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from csnln_mm.images import mod_crop
from csnln_mm.images.image_data import ImageData
from csnln_mm.images.image_file import as_8_bit_rgb, list_images, read_image
from csnln_mm.ops.imresize import imresize
from csnln_mm.upscaling import Upscaler


def reduce(image: np.ndarray, scale: int) -> ImageData:
    """uint8 RGBA, [H, W, 4], reduced."""
    values = torch.from_numpy(image).double().permute(2, 0, 1)
    colours, alpha = values[:3], values[3:]
    weighted = torch.cat([colours * alpha / 255, alpha])
    size = image.shape[0] // scale, image.shape[1] // scale
    small = imresize(weighted, size).clamp(min=0)
    small[:3] *= 255 / small[3:].clamp(min=1e-3)
    pixels = small.clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
    return ImageData(np.ascontiguousarray(pixels[..., :3]), pixels[..., 3].copy())


def on_checkerboard(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """[H, W, 3] on squares of 8 pixels, white and grey."""
    y, x = np.indices(alpha.shape) // 8
    opacity = alpha[..., None] / 255
    return colours * opacity + np.where((x + y) % 2, 255, 153)[..., None] * (1 - opacity)


def psnr(difference: np.ndarray) -> float:
    """In dB; 60 at most, as that of an image without any difference is infinite."""
    return min(60.0, 10 * np.log10(255**2 / max(np.mean(difference**2), 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--scale', type=int, nargs='+', default=[2, 3, 4])
    args = parser.parse_args()
    read = [(path, read_image(path)) for path in list_images(args.folder)]
    images = [
        np.dstack([as_8_bit_rgb(image), image.alpha])
        for _, image in read
        if image.alpha is not None
    ]
    print(f'{len(images)} images\n| scale | alpha | on a checkerboard |\n| --- | --- | --- |')
    for scale in args.scale:
        for method in 'bicubic', 'network':
            upscaler = Upscaler(scale=scale, device='cpu', alpha=method)
            scores = []
            for image in images:
                gt = mod_crop(image, scale)
                result = upscaler(reduce(gt, scale))
                both = [
                    on_checkerboard(*pair)
                    for pair in ((result.pixels, result.alpha), (gt[..., :3], gt[..., 3]))
                ]
                scores.append([psnr(result.alpha * 1.0 - gt[..., 3]), psnr(both[0] - both[1])])
            alpha, whole = np.mean(scores, 0)
            print(f'| x{scale} {method} | {alpha:.2f} | {whole:.2f} |', flush=True)


if __name__ == '__main__':
    main()
