#!/usr/bin/env bash
# rasterio 1.4.4 with its GDAL (numpy 2.4.6, Python 3.11)
#
# LR images are made from a GeoTIFF by reading it at half its size with Resampling.average or cubic.
# Where the file has overviews, such as every cloud-optimized one, they are not computed from the
# pixels: GDAL takes the overview of that size as it is, and the resampling that was asked for changes
# nothing. Overviews that were built by nearest neighbour give an aliased "average".
#
# A guess: the mean of 2x2 pixels, with and without overviews. Seen:
#   without overviews: the mean of 2x2 pixels, rounded
#   with overviews:    one of each 2x2 pixels; average and cubic give the same
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q rasterio==1.4.4 numpy==2.4.6
cd "$folder"
env/bin/python -W ignore - <<'PYTHON'
import numpy as np
import rasterio
from rasterio.enums import Resampling

pixels = np.random.default_rng(0).integers(0, 1000, (256, 256), dtype=np.uint16)
profile = dict(driver='GTiff', width=256, height=256, count=1, dtype='uint16')
with rasterio.open('image.tif', 'w', tiled=True, blockxsize=64, blockysize=64, **profile) as file:
    file.write(pixels, 1)


def half(resampling):
    with rasterio.open('image.tif') as file:
        return file.read(1, out_shape=(128, 128), resampling=resampling)


mean = pixels.reshape(128, 2, 128, 2).mean((1, 3))
assert np.abs(half(Resampling.average) - mean).max() <= 0.5
assert (half(Resampling.average) != half(Resampling.cubic)).any()
print('without overviews: the mean of 2x2 pixels, rounded')
with rasterio.open('image.tif', 'r+') as file:
    file.build_overviews([2], Resampling.nearest)
average = half(Resampling.average)
assert any((average == pixels[y::2, x::2]).all() for y in (0, 1) for x in (0, 1))
assert (average == half(Resampling.cubic)).all()
print('with overviews:    one of each 2x2 pixels; average and cubic give the same')
PYTHON
