#!/usr/bin/env bash
# Pillow 13.0.0, opencv-python-headless 5.0.0.93, imagecodecs 2026.3.6, tifffile 2026.3.3, rasterio 1.4.4
#
# Without options, some write WebP lossily and some losslessly: Pillow and GDAL (WebP files and WebP in
# a TIFF) lossily, OpenCV, imagecodecs and tifffile (WebP in a TIFF) losslessly. A TIFF that says
# "compression: WebP" may be either, and neither tifffile nor rasterio says which. With AVIF, Pillow and
# OpenCV are lossy and imagecodecs is not.
#
# A guess: WebP and AVIF are lossy unless asked otherwise. Seen, largest errors of 255, on smooth noise:
#   WebP         Pillow 78, OpenCV 0, imagecodecs 0, GDAL 77
#   WebP in TIFF tifffile 0, GDAL 66
#   AVIF         Pillow 67, OpenCV 78, imagecodecs 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pillow==13.0.0 opencv-python-headless==5.0.0.93 imagecodecs==2026.3.6 \
    tifffile==2026.3.3 rasterio==1.4.4 scipy==1.17.1 numpy==2.4.6
cd "$folder"
env/bin/python -W ignore - <<'PYTHON'
import io

import cv2
import imagecodecs
import numpy as np
import rasterio
import rasterio.shutil
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

noise = np.random.default_rng(0).random((3, 64, 64))
smooth = np.stack([gaussian_filter(band, 1) for band in noise], axis=-1)
image = ((smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255).astype(np.uint8)


def error(result):
    return int(np.abs(np.asarray(result).astype(int) - image).max())


def by_pillow(name):
    file = io.BytesIO()
    Image.fromarray(image).save(file, name)
    return error(Image.open(file))


def by_opencv(suffix):
    return error(cv2.imdecode(cv2.imencode(suffix, image)[1], cv2.IMREAD_UNCHANGED))


def by_gdal(path, **options):
    profile = dict(driver='GTiff', width=64, height=64, count=3, dtype='uint8', interleave='pixel')
    with rasterio.open('gdal.tif', 'w', **profile, **options) as file:
        file.write(image.transpose(2, 0, 1))
    if path != 'gdal.tif':
        rasterio.shutil.copy('gdal.tif', path, driver='WEBP')
    with rasterio.open(path) as file:
        return error(file.read().transpose(1, 2, 0))


tifffile.imwrite('tifffile.tif', image, photometric='rgb', compression='webp')
seen = {
    'WebP': {
        'Pillow': by_pillow('WEBP'),
        'OpenCV': by_opencv('.webp'),
        'imagecodecs': error(imagecodecs.webp_decode(imagecodecs.webp_encode(image))),
        'GDAL': by_gdal('gdal.webp'),
    },
    'WebP in TIFF': {
        'tifffile': error(tifffile.imread('tifffile.tif')),
        'GDAL': by_gdal('gdal.tif', compress='webp'),
    },
    'AVIF': {
        'Pillow': by_pillow('AVIF'),
        'OpenCV': by_opencv('.avif'),
        'imagecodecs': error(imagecodecs.avif_decode(imagecodecs.avif_encode(image))),
    },
}
for kind, errors in seen.items():
    print(f'{kind:12}', ', '.join(f'{name} {value}' for name, value in errors.items()))
lossless = [(kind, name) for kind, errors in seen.items() for name in errors if not errors[name]]
assert lossless == [
    ('WebP', 'OpenCV'), ('WebP', 'imagecodecs'), ('WebP in TIFF', 'tifffile'), ('AVIF', 'imagecodecs'),
]
PYTHON
