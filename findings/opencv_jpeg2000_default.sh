#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93, Pillow 13.0.0 (numpy 2.4.6, Python 3.11)
#
# OpenCV writes JPEG 2000 lossily by default, at 8 and at 16 bits, although
# IMWRITE_JPEG2000_COMPRESSION_X1000=1000, which is lossless, is given as the default of that option:
# a file without it has a third to a half of the bytes, and errors of several levels of 255. Pillow's
# default is lossless. A ground truth that was stored "as JPEG 2000" by OpenCV is not the ground truth.
#
# A guess: without the option, and with 1000, the pixels that were written. Seen, largest errors:
#   8 bits:  default 11, with 1000: 0, Pillow's default 0
#   16 bits: default 419, with 1000: 0, Pillow's default 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q opencv-python-headless==5.0.0.93 pillow==13.0.0 scipy==1.17.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import io

import cv2
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

smooth = gaussian_filter(np.random.default_rng(0).random((64, 64)), 2)
smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())


def by_opencv(image, *options):
    data = cv2.imencode('.jp2', image, options)[1]
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def by_pillow(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'JPEG2000')
    return np.asarray(Image.open(file))


for dtype, largest in ((np.uint8, 2), (np.uint16, 100)):
    image = (smooth * np.iinfo(dtype).max).astype(dtype)
    results = (
        by_opencv(image),
        by_opencv(image, cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000),
        by_pillow(image),
    )
    errors = [int(np.abs(result.astype(int) - image).max()) for result in results]
    print(f'{8 * image.itemsize} bits: default {errors[0]}, with 1000: {errors[1]}, ', end='')
    print(f"Pillow's default {errors[2]}")
    assert errors[0] > largest and errors[1:] == [0, 0]
PYTHON
