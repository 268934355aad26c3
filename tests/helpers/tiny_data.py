"""Tiny generated image pairs, laid out as the configs expect them."""

from pathlib import Path

import numpy as np

from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import as_8_bit_rgb, write_image


def smooth_noise(height: int, width: int, seed: int) -> np.ndarray:
    """An image with edges at several scales, uint8 [H, W, 3]."""
    random = np.random.RandomState(seed)
    image = np.zeros((height, width, 3))
    for size in (2, 4, 8):
        cells = random.rand(height // size + 1, width // size + 1, 3)
        image += np.kron(cells, np.ones((size, size, 1)))[:height, :width]
    return (255 * image / image.max()).astype(np.uint8)


def make_benchmark(root: Path, count: int = 2, scale: int = 2, size=(48, 60)) -> Path:
    """``root/GTmod12`` and ``root/LRbicxS`` with ``count`` pairs."""
    for i in range(count):
        gt = smooth_noise(*size, seed=i)
        write_image(root / 'GTmod12' / f'{i}.png', gt)
        write_image(root / f'LRbicx{scale}' / f'{i}.png', downsample(gt, scale))
    return root


def make_div2k(root: Path, scale: int, size=(240, 252)) -> Path:
    """Sub-images 1 and 2 in the layout of the training configs."""
    for i in 1, 2:
        gt = smooth_noise(*size, seed=i)
        write_image(root / f'DIV2K_train_HR_sub/{i}.png', gt)
        write_image(root / f'DIV2K_train_LR_bicubic/X{scale}_sub/{i}.png', downsample(gt, scale))
    (root / 'meta_info_DIV2K800sub_GT.txt').write_text('1.png (1,1,3)\n2.png (1,1,3)\n')
    return root


def make_demo(root: Path, height: int, width: int) -> Path:
    """Corners of all but one of the demo's photographs, which preparing it leaves alone."""
    from csnln_mm.datasets import demo
    from csnln_mm.datasets.benchmarks import write_test_images

    parts = dict(train=demo.TRAIN_PHOTOGRAPHS, test=demo.TEST_PHOTOGRAPHS)
    for part, photographs in parts.items():
        for name in photographs.keys() - {'coins'}:
            gt = as_8_bit_rgb(photographs[name]())[:height, :width]
            write_test_images(lambda gt=gt: gt, root / part, name, [2])
    return root


def contents(folder: Path) -> dict[str, int]:
    """When each file below a folder was written."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}
