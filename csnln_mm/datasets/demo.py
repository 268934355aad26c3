"""Make a small training and test set of scikit-image's photographs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data

from csnln_mm.datasets.benchmarks import write_test_images
from csnln_mm.images.image_file import as_8_bit_rgb


def _photographs(names: str) -> dict[str, Callable[[], np.ndarray]]:
    return {name: getattr(skimage.data, name) for name in names.split()}


TRAIN_PHOTOGRAPHS = {
    **_photographs('astronaut brick camera coins grass gravel hubble_deep_field moon retina'),
    'motorcycle': lambda: skimage.data.stereo_motorcycle()[0],
}
TEST_PHOTOGRAPHS = _photographs('chelsea coffee rocket')
# For the page: the test set, and a photograph that repeats itself.
EXAMPLES = {**TEST_PHOTOGRAPHS, 'brick': skimage.data.brick}


def prepare_demo(root: Path, scale: int = 2) -> None:
    """Write ``root/train`` and ``root/test`` in the layout of MMagic's benchmarks.

    Args:
        root: folder for the two sets; existing files are kept.
        scale: of the LR images, a divisor of 12.
    """
    for part, photographs in (('train', TRAIN_PHOTOGRAPHS), ('test', TEST_PHOTOGRAPHS)):
        for name, load in photographs.items():
            write_test_images(lambda load=load: as_8_bit_rgb(load()), root / part, name, [scale])
