"""Image files: read with one clear error, written whole or not at all."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write

__all__ = ['FORMATS', 'IMAGE_SUFFIXES', 'images_in', 'read_image', 'write_image']

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
# By content, whatever a file is called. Among Pillow's others is EPS, which Ghostscript runs.
FORMATS = ('BMP', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP')


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, not of its subfolders, sorted by name.

    Raises:
        UserError: if two of them differ by their suffixes alone: what is made of them would have
            the same name.
    """
    stems: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            if path.stem in stems:
                raise UserError(f'{stems[path.stem]} and {path.name} have the same name')
            stems[path.stem] = path
    return list(stems.values())


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture as 8-bit RGB, turned as its EXIF data says, without alpha.

    Args:
        path: PNG, JPEG or whatever else both OpenCV and Pillow read.

    Returns:
        uint8, [H, W, 3]; grey pictures with three equal channels.

    Raises:
        UserError: if the file is missing, unreadable, cut off or no picture, or has more than
            179 million pixels (twice ``PIL.Image.MAX_IMAGE_PIXELS``).
    """
    if not Path(path).is_file():
        raise UserError(f'image {path} does not exist')
    try:
        # OpenCV fills what a cut off file lacks with grey, and says nothing.
        with Image.open(path, formats=FORMATS) as whole:
            whole.load()
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except Image.DecompressionBombError as error:
        raise UserError(f'{path} is refused: {error}') from error
    except OSError as error:
        # Without a number it is about the content.
        reason = f'cannot be read: {error.strerror}' if error.errno else 'is damaged or no image'
        raise UserError(f'{path} {reason}') from error
    except Exception as error:  # decoders raise whatever broken bytes make them stumble over
        raise UserError(f'{path} is damaged or no image') from error
    if image is None:
        raise UserError(f'{path} is damaged or no image')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a picture under a temporary name and move it into place.

    Args:
        path: its suffix says the format; missing folders are made.
        image: uint8 or uint16, grey, RGB or RGBA.

    Raises:
        OSError: if it cannot be written, or not in this format; nothing is left behind.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(
            image, cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
        )
    try:
        encoded, data = cv2.imencode(path.suffix, image)
    except cv2.error:
        encoded = False
    if not encoded:
        raise OSError(f'cannot encode {path}')
    atomic_write(path, data.tobytes())
