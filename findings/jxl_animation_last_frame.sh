#!/usr/bin/env bash
# pillow-jxl-plugin 1.3.8 (Pillow 12.3.0, imagecodecs 2026.3.6, numpy 2.4.6, Python 3.11)
#
# An animated JPEG XL opens as a still image, without a warning, and is its LAST frame. Pillow's own
# plugins (GIF, WebP, PNG, AVIF) say how many frames there are, and show the first.
#
# A guess: several frames, or the first one. Seen, of frames of the greys 10, 100 and 200:
#   imagecodecs: 10 100 200
#   Pillow:      1 frame, 200
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pillow-jxl-plugin==1.3.8 pillow==12.3.0 imagecodecs==2026.3.6 numpy==2.4.6
"$folder/env/bin/python" -W error - <<'PYTHON'
import io

import imagecodecs
import numpy as np
import pillow_jxl  # noqa: F401
from PIL import Image

frames = np.stack([np.full((16, 24, 3), grey, np.uint8) for grey in (10, 100, 200)])
content = imagecodecs.jpegxl_encode(frames, lossless=True, photometric='rgb')
# The file is what it should be.
assert (imagecodecs.jpegxl_decode(content) == frames).all()
print('imagecodecs:', *imagecodecs.jpegxl_decode(content)[:, 0, 0, 0])
with Image.open(io.BytesIO(content)) as image:
    count, grey = getattr(image, 'n_frames', 1), image.getpixel((0, 0))[0]
print(f'Pillow:      {count} frame, {grey}')
assert (count, grey) == (1, 200)
PYTHON
