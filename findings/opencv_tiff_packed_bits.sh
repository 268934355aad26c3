#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93, Pillow 13.0.0, tifffile 2026.3.3 (imagecodecs 2026.3.6, rasterio 1.4.4)
#
# GDAL stores sensors' data in a TIFF of 10, 12 or 14 bits a sample (NBITS). OpenCV reads such a file
# as 16 bits with all values shifted to the top (times 64, 16 and 4), without a word; Pillow reads 12
# bits with their own values and refuses 10 and 14; tifffile and GDAL read all with their own values.
# So the same dataset has two ranges, and a threshold or a range of 0 to 4095 is right for one reader.
#
# A guess: where a library reads the file, it reads the values that were written. Seen, of 100 and 1023:
#   10 bits: tifffile 100 1023, OpenCV 6400 65472, Pillow refuses
#   12 bits: tifffile 100 1023, OpenCV 1600 16368, Pillow 100 1023
#   14 bits: tifffile 100 1023, OpenCV 400 4092, Pillow refuses
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q opencv-python-headless==5.0.0.93 pillow==13.0.0 rasterio==1.4.4 \
    tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
env/bin/python -W ignore - <<'PYTHON'
import cv2
import numpy as np
import rasterio
import tifffile
from PIL import Image, UnidentifiedImageError

values = np.array([[100, 1023]], np.uint16)
profile = dict(driver='GTiff', width=2, height=1, count=1, dtype='uint16')
for bits in 10, 12, 14:
    with rasterio.open('image.tif', 'w', nbits=bits, **profile) as file:
        file.write(values, 1)
    with rasterio.open('image.tif') as file:
        assert (file.read(1) == values).all()
    opencv = cv2.imread('image.tif', cv2.IMREAD_UNCHANGED)
    try:
        with Image.open('image.tif') as image:
            pillow = '{} {}'.format(*np.asarray(image)[0])
    except UnidentifiedImageError:
        pillow = 'refuses'
    print(f'{bits} bits: tifffile', *tifffile.imread('image.tif')[0], end=', ')
    print('OpenCV', *opencv[0], end=', ')
    print('Pillow', pillow)
    assert (tifffile.imread('image.tif') == values).all()
    assert (opencv == values << 16 - bits).all()
    assert pillow == ('100 1023' if bits == 12 else 'refuses')
PYTHON
