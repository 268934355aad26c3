"""Compare other libraries' bicubic interpolation and SSIM with MATLAB's, on a folder of images.

    python benchmarks/matlab_agreement.py downloads/Set5

1. Bicubic: each image, cropped to multiples of the scale, is reduced and enlarged by one library,
   rounded to 8 bits each time; PSNR on Y without a border of the scale.
2. SSIM of this package's bicubic x4 on Y, as it is and as other libraries compute it from the same
   Y, beside the formula of Wang et al. (2004): Gaussian window of 11 pixels, sigma 1.5, no padding.
3. What it costs to round Y to whole numbers, as MATLAB's rgb2ycbcr does with uint8.

Libraries that are not installed are left out.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from csnln_mm.images import downsample, psnr, ssim, upsample
from csnln_mm.images.degradation import mod_crop, resize
from csnln_mm.images.image_file import read_rgb
from csnln_mm.images.metrics import to_luma
from csnln_mm.paper.measure import collect_images
from csnln_mm.tables import format_table

Size = tuple[int, int]
Resize = Callable[[np.ndarray, Size], np.ndarray]
_SCALES = 2, 3, 4


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Round to uint8."""
    return np.round(values).clip(0, 255).astype(np.uint8)


def by_tensor(function: Callable[[torch.Tensor, Size], torch.Tensor]) -> Resize:
    """Let a function of [1, 3, H, W] resize an image."""

    def run(image: np.ndarray, size: Size) -> np.ndarray:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].double()
        return as_bytes(function(x, size)[0].permute(1, 2, 0).numpy())

    return run


def resizers() -> dict[str, Resize]:
    """What resizes an image to (height, width), by library."""
    found: dict[str, Resize] = {
        'this package': resize,
        'Pillow': lambda image, size: np.asarray(
            Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
        ),
        'torch, antialias': by_tensor(
            lambda x, size: F.interpolate(x, size, mode='bicubic', antialias=True)
        ),
        'torch': by_tensor(lambda x, size: F.interpolate(x, size, mode='bicubic')),
        'OpenCV': lambda image, size: cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC),
    }
    try:
        from skimage.transform import resize as skimage_resize

        found['scikit-image, order 3, anti_aliasing'] = lambda image, size: as_bytes(
            skimage_resize(image.astype(float), size, order=3, anti_aliasing=True)
        )
    except ImportError:
        pass
    try:
        from kornia.geometry.transform import resize as kornia_resize

        found['kornia, antialias'] = by_tensor(
            lambda x, size: kornia_resize(x, size, 'bicubic', antialias=True)
        )
    except ImportError:
        pass
    return found


def similarities() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """SSIM of two Y channels, [H, W] of 0..255, by library."""
    found: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {}

    def tensors(*images: np.ndarray) -> list[torch.Tensor]:
        return [torch.from_numpy(image)[None, None] for image in images]

    try:
        from skimage.metrics import structural_similarity

        wang = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        found['scikit-image, gaussian, population'] = lambda x, y: structural_similarity(
            x, y, data_range=255, **wang, full=True
        )[1][5:-5, 5:-5].mean()
        found['scikit-image'] = lambda x, y: structural_similarity(x, y, data_range=255)
    except ImportError:
        pass
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure

        found['torchmetrics, data_range'] = lambda x, y: structural_similarity_index_measure(
            *tensors(x, y), data_range=255.0
        ).item()
        found['torchmetrics'] = lambda x, y: structural_similarity_index_measure(
            *tensors(x, y)
        ).item()
    except ImportError:
        pass
    try:
        import piq

        found['piq, downsample=False'] = lambda x, y: piq.ssim(
            *tensors(x, y), data_range=255, downsample=False
        ).item()
        found['piq'] = lambda x, y: piq.ssim(*tensors(x, y), data_range=255).item()
    except ImportError:
        pass
    try:
        from kornia.metrics import ssim as kornia_ssim

        found["kornia, padding='valid'"] = lambda x, y: (
            kornia_ssim(*tensors(x, y), 11, max_val=255.0, padding='valid').mean().item()
        )
    except ImportError:
        pass
    return found


def rounded_psnr(image: np.ndarray, gt: np.ndarray, border: int) -> float:
    """PSNR of Y rounded to whole numbers."""
    x, y = (np.round(to_luma(a))[border:-border, border:-border] for a in (image, gt))
    return 10 * np.log10(255**2 / np.square(x - y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path)
    ((name, paths),) = collect_images([parser.parse_args().folder]).items()
    images = [read_rgb(path) for path in paths]
    gts = {s: [np.ascontiguousarray(mod_crop(image, s)) for image in images] for s in _SCALES}

    rows = []
    for library, run in resizers().items():
        row = [library]
        for scale, of_scale in gts.items():
            values = []
            for gt in of_scale:
                height, width = gt.shape[:2]
                lq = run(gt, (height // scale, width // scale))
                values.append(psnr(run(lq, (height, width)), gt, scale))
            row.append(f'{np.mean(values):.2f}')
        rows.append(row)
    print(format_table([f'bicubic, PSNR on {name}', *(f'x{s}' for s in _SCALES)], rows, 'markdown'))

    pairs = {s: [(upsample(downsample(gt, s), s), gt) for gt in gts[s]] for s in _SCALES}
    ours = np.mean([ssim(x, gt, 4) for x, gt in pairs[4]])
    rows = [['this package', f'{ours:.4f}', '']]
    lumas = [[to_luma(a[4:-4, 4:-4]) for a in pair] for pair in pairs[4]]
    for library, similarity in similarities().items():
        value = np.mean([similarity(x, y) for x, y in lumas])
        rows.append([library, f'{value:.4f}', f'{value - ours:+.4f}'])
    print(
        '\n'
        + format_table([f'SSIM of bicubic x4 on {name}', 'mean', 'difference'], rows, 'markdown')
    )

    row = ['less with Y rounded']
    for scale, of_scale in pairs.items():
        lost = [psnr(x, gt, scale) - rounded_psnr(x, gt, scale) for x, gt in of_scale]
        row.append(f'{np.mean(lost):.3f} dB')
    print('\n' + format_table(['PSNR', *(f'x{s}' for s in _SCALES)], [row], 'markdown'))


if __name__ == '__main__':
    main()
