"""Image files that are whole or not there."""
import os
from pathlib import Path

import cv2
import numpy as np

__all__ = ['write_image']


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a picture under a temporary name and move it into place.

    Args:
        path: its suffix says the format; missing folders are made.
        image: uint8 or uint16, grey, RGB or RGBA.

    Raises:
        OSError: if it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(path.suffix, image)
    if not encoded:
        raise OSError(f'cannot encode {path}')
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        partial.write_bytes(data.tobytes())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
