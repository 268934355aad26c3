#!/usr/bin/env bash
# pillow 12.3.0 (tifffile 2025.5.10, numpy 2.2.6, Python 3.10 or later, x86-64 Linux)
#
# A TIFF of 16-bit RGB whose planes lie one after the other (PlanarConfiguration 2, as GDAL's
# INTERLEAVE=BAND and many microscopes write it) opens as 8-bit RGB without an error or a warning, and
# is another picture: bytes of 16-bit numbers are taken for pixels. With the samples of a pixel side
# by side the same numbers come back right, in 8 bits.
#
# A guess: the picture in 8 bits, as of the other arrangement, or an error. Seen, as the mean
# difference of what was read from the numbers that were written, both in 0 to 255:
#   side by side:    RGB, 0.3
#   plane by plane:  RGB, 70.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pillow==12.3.0 tifffile==2025.5.10 numpy==2.2.6
"$folder/env/bin/python" -W error - <<'PYTHON'
import io

import numpy as np
import tifffile
from PIL import Image

y, x = np.mgrid[:64, :64]
image = np.stack([x * 1000, y * 1000, (x + y) * 500], -1).astype(np.uint16)


def difference(pixels, planarconfig):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric='rgb', planarconfig=planarconfig, metadata=None)
    # The file is what it should be.
    assert (tifffile.imread(io.BytesIO(file.getvalue())) == pixels).all()
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        assert opened.mode == 'RGB' and opened.size == (64, 64)
        return np.abs(np.asarray(opened) - image / 257).mean()


together = difference(image, 'contig')
planes = difference(image.transpose(2, 0, 1), 'separate')
print(f'side by side:    RGB, {together:.1f}')
print(f'plane by plane:  RGB, {planes:.1f}')
assert together < 1 and planes > 50
PYTHON
