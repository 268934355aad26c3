#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 (tifffile 2025.5.10, numpy 2.2.6, Python 3.10 or later, x86-64 Linux)
#
# `IMREAD_UNCHANGED` does not keep the bands of a TIFF that are not called RGB, as those of satellites
# and microscopes are (PhotometricInterpretation 1, black is zero, samples side by side). Of two,
# three or four bands of 8 bits the first one comes back, and nothing says that there were more. Of
# three or four bands of 16 bits comes their luma, as if they were red, green and blue. Of two bands
# of 16 bits comes the first one in 8 bits, its low byte gone.
#
# A guess: unchanged means all bands, in the type of the file, or None where that cannot be. Seen, of
# bands that are 1000, 2000, 3000 and 4000 everywhere, and in 8 bits 10, 20, 30 and 40:
#   2 bands of uint8:  (8, 8) uint8, 10
#   2 bands of uint16: (8, 8) uint8, 3
#   3 bands of uint8:  (8, 8) uint8, 10
#   3 bands of uint16: (8, 8) uint16, 1815
#   4 bands of uint8:  (8, 8) uint8, 10
#   4 bands of uint16: (8, 8) uint16, 1815
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q opencv-python-headless==5.0.0.93 tifffile==2025.5.10 numpy==2.2.6
"$folder/env/bin/python" - <<'PYTHON'
import io

import cv2
import numpy as np
import tifffile

SEEN = {
    (2, 'uint8'): ((8, 8), 'uint8', 10),
    (2, 'uint16'): ((8, 8), 'uint8', 3),
    (3, 'uint8'): ((8, 8), 'uint8', 10),
    (3, 'uint16'): ((8, 8), 'uint16', 1815),
    (4, 'uint8'): ((8, 8), 'uint8', 10),
    (4, 'uint16'): ((8, 8), 'uint16', 1815),
}
for (bands, dtype), seen in SEEN.items():
    unit = 10 if dtype == 'uint8' else 1000
    image = np.full((8, 8, bands), unit * np.arange(1, bands + 1), dtype)
    file = io.BytesIO()
    tifffile.imwrite(file, image, photometric='minisblack', planarconfig='contig', metadata=None)
    # The file is what it should be.
    assert (tifffile.imread(io.BytesIO(file.getvalue())) == image).all()
    read = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    print(f'{bands} bands of {dtype}: {read.shape} {read.dtype}, {read[0, 0]}')
    assert (read.shape, str(read.dtype), int(read[0, 0])) == seen
PYTHON
