#!/usr/bin/env bash
# rasterio 1.4.4 with its GDAL (numpy 2.4.6, Python 3.11)
#
# A compressed GeoTIFF is updated in place ('r+'). Blocks that compress to more bytes than before are
# appended, and the bytes of the old ones are lost to the file: it grows at every such update, without
# limit, although it always holds one image. Blocks that take no more bytes go to their old place.
#
# A guess: the file has about the size of the image that is in it. Seen, of two images in turn that
# alone take 188 and 262 kB:
#   written 188 kB; updated in turn: 450, 450, 711, 711, 973 kB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q rasterio==1.4.4 numpy==2.4.6
cd "$folder"
env/bin/python -W ignore - <<'PYTHON'
import os

import numpy as np
import rasterio

rng = np.random.default_rng(0)
images = [rng.integers(0, levels, (512, 512)).astype(np.uint8) for levels in (50, 250)]
profile = dict(driver='GTiff', width=512, height=512, count=1, dtype='uint8')
profile |= dict(compress='deflate', tiled=True)
alone = []
for image in images:
    with rasterio.open('image.tif', 'w', **profile) as file:
        file.write(image, 1)
    alone.append(os.path.getsize('image.tif'))
with rasterio.open('image.tif', 'w', **profile) as file:
    file.write(images[0], 1)
sizes = [os.path.getsize('image.tif')]
for index in range(5):
    with rasterio.open('image.tif', 'r+') as file:
        file.write(images[1 - index % 2], 1)
    sizes.append(os.path.getsize('image.tif'))
first, *others = (round(size / 1000) for size in sizes)
print(f'alone {alone[0] / 1000:.0f} and {alone[1] / 1000:.0f} kB')
print(f'written {first} kB; updated in turn:', ', '.join(map(str, others)), 'kB')
assert sizes[1] == sizes[2] and sizes[3] == sizes[4]
assert sizes[5] > 3 * max(alone)
PYTHON
