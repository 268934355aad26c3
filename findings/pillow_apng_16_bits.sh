#!/usr/bin/env bash
# Pillow 12.3.0 (numpy 2.4.6, Python 3.11)
#
# Frames of 16-bit grey are written to an animated PNG of 16 bits, but what changes between two
# frames only in pixels of 256 and more is left out, without a warning: to find the rectangle that
# changes, Pillow converts both frames to 8 bits, where all such pixels are white. Frames that differ
# nowhere below 256 become a single one.
#
# A guess: what is read are the frames that were written. Seen, of a frame of 1000 and one of 30000:
#   1 frame:  1000
# and of two with a first pixel of 0 and of 99, the others of 1000 and of 30000:
#   2 frames: 0 1000, then 99 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pillow==12.3.0 numpy==2.4.6
"$folder/env/bin/python" -W error - <<'PYTHON'
import io

import numpy as np
from PIL import Image


def read_back(frames):
    """The first and the last pixel of each frame that is read."""
    file = io.BytesIO()
    first, *others = map(Image.fromarray, frames)
    first.save(file, 'PNG', save_all=True, append_images=others, duration=50)
    assert file.getvalue()[24] == 16  # bits
    with Image.open(file) as image:
        seen = []
        for index in range(getattr(image, 'n_frames', 1)):
            image.seek(index)
            assert image.mode == 'I;16'
            seen.append([image.getpixel(place) for place in ((0, 0), (23, 15))])
    return seen


frames = [np.full((16, 24), value, np.uint16) for value in (1000, 30000)]
one = read_back(frames)
print('1 frame: ', one[0][0])
assert one == [[1000, 1000]]
frames[0][0, 0], frames[1][0, 0] = 0, 99
two = read_back(frames)
print('2 frames: {} {}, then {} {}'.format(*two[0], *two[1]))
assert two == [[0, 1000], [99, 1000]]
PYTHON
