"""The photographs that scikit-image carries, as a small training and test set."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data

from csnln_mm.datasets.benchmarks import write_test_images
from csnln_mm.images.image_file import as_8_bit_rgb

__all__ = ['EXAMPLES', 'TEST_PHOTOGRAPHS', 'TRAIN_PHOTOGRAPHS', 'prepare_demo']

TRAIN_PHOTOGRAPHS: dict[str, Callable[[], np.ndarray]] = {
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
TEST_PHOTOGRAPHS: dict[str, Callable[[], np.ndarray]] = {
    'chelsea': skimage.data.chelsea,
    'coffee': skimage.data.coffee,
    'rocket': skimage.data.rocket,
}
# To be looked at: those of the test set, and one that repeats itself.
EXAMPLES = {**TEST_PHOTOGRAPHS, 'brick': skimage.data.brick}


def prepare_demo(root: Path, scale: int = 2) -> None:
    """Write ``root/train`` and ``root/test`` as MMagic's benchmarks are laid out.

    ``GTmod12/NAME.png`` is the photograph, both sides cut to multiples of 12, and
    ``LRbicxS/NAME.png`` its bicubic reduction. Files that are there stay.

    Args:
        root: folder of the two sets.
        scale: S, a divisor of 12.
    """
    for part, photographs in (('train', TRAIN_PHOTOGRAPHS), ('test', TEST_PHOTOGRAPHS)):
        for name, load in photographs.items():
            write_test_images(lambda load=load: as_8_bit_rgb(load()), root / part, name, [scale])
