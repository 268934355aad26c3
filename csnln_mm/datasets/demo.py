"""The photographs that scikit-image carries, as a small training and test set."""
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import skimage.data

from .degradation import crop_to_multiple, downsample
from .image_io import write_image

__all__ = ['TRAIN_PHOTOGRAPHS', 'TEST_PHOTOGRAPHS', 'prepare_demo']

TRAIN_PHOTOGRAPHS: Dict[str, Callable[[], np.ndarray]] = {
    'astronaut': skimage.data.astronaut,
    'brick': skimage.data.brick,
    'camera': skimage.data.camera,
    'coins': skimage.data.coins,
    'grass': skimage.data.grass,
    'gravel': skimage.data.gravel,
    'hubble_deep_field': skimage.data.hubble_deep_field,
    'moon': skimage.data.moon,
    'motorcycle': lambda: skimage.data.stereo_motorcycle()[0],
    'retina': skimage.data.retina,
}
TEST_PHOTOGRAPHS: Dict[str, Callable[[], np.ndarray]] = {
    'chelsea': skimage.data.chelsea,
    'coffee': skimage.data.coffee,
    'rocket': skimage.data.rocket,
}


def prepare_demo(root: Path, scale: int = 2) -> None:
    """Write ``root/train`` and ``root/test`` as MMagic's benchmarks are laid out.

    ``GTmod12/NAME.png`` is the photograph, both sides cut to multiples of 12, and
    ``LRbicxS/NAME.png`` its bicubic reduction. Files that are there stay.
    """
    for part, photographs in (('train', TRAIN_PHOTOGRAPHS), ('test', TEST_PHOTOGRAPHS)):
        for name, load in photographs.items():
            gt_path = root / part / 'GTmod12' / f'{name}.png'
            lq_path = root / part / f'LRbicx{scale}' / f'{name}.png'
            if gt_path.exists() and lq_path.exists():
                continue
            photograph = load()
            if photograph.ndim == 2:
                photograph = np.stack([photograph] * 3, -1)
            gt = crop_to_multiple(photograph, 12)
            write_image(gt_path, gt)
            write_image(lq_path, downsample(gt, scale))
