#!/usr/bin/env bash
# rasterio 1.4.4 with GDAL 3.10.3 of its wheel (numpy 2.4.6, Python 3.11)
#
# A band that the file and GDAL call alpha is the mask of the others where values are uint8 or uint16.
# Where they are int16 or float32 it is not: the color interpretation is the same, and the mask says
# that all pixels are valid, so that masked arrays, statistics and warps take the hidden ones.
#
# A guess: the mask is 0 where alpha is 0, whatever the type. Seen, of an alpha of 0 in the left half:
#   uint8    alpha band: alpha  valid: 50 %
#   uint16   alpha band: alpha  valid: 50 %
#   int16    alpha band: alpha  valid: 100 %
#   float32  alpha band: alpha  valid: 100 %
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q rasterio==1.4.4 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" -W error - <<'PYTHON'
import warnings

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

seen = {}
for kind in 'uint8', 'uint16', 'int16', 'float32':
    largest = 1 if kind == 'float32' else np.iinfo(kind).max
    pixels = np.full((4, 32, 40), largest // 2 if kind != 'float32' else 0.5).astype(kind)
    pixels[3], pixels[3, :, :20] = largest, 0
    options = dict(driver='GTiff', width=40, height=32, count=4, dtype=kind)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it has no georeference
        with rasterio.open('a.tif', 'w', photometric='RGB', alpha='YES', **options) as file:
            file.write(pixels)
        with rasterio.open('a.tif') as file:
            assert (file.read() == pixels).all()
            alpha, valid = file.colorinterp[3], (file.dataset_mask() > 0).mean()
    seen[kind] = alpha, valid
    print(f'{kind:8} alpha band: {alpha.name}  valid: {valid:.0%}'.replace('%', ' %'))
assert all(alpha == ColorInterp.alpha for alpha, _ in seen.values())
assert [valid for _, valid in seen.values()] == [0.5, 0.5, 1.0, 1.0]
PYTHON
