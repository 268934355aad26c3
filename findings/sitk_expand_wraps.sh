#!/usr/bin/env bash
# SimpleITK 2.5.7 (numpy 2.4.6, Python 3.11)
#
# Enlarging 8-bit images by SimpleITK's Expand with a B-spline or windowed sinc turns the overshoot at
# an edge around: -1.8 becomes 255 and 279.8 becomes 23, so that each sharp edge gets black and white
# pixels on the wrong side. Resample, on the same grid with the same interpolator, clips. With floating
# point, Expand gives the same values without wrapping.
#
# A guess: 8-bit results are rounded and clipped, as by Resample. Seen, across an edge from 0 to 255:
#   Expand, float -1.8 3.7 6.6 -13.7 -24.8 55.0 200.0 279.8 268.7 248.4 251.3 256.8
#   Expand        255 3 6 243 232 54 200 23 12 248 251 0
#   Resample      0 3 6 0 0 54 200 255 255 248 251 255
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q SimpleITK==2.5.7 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

edge = sitk.GetImageFromArray(np.tile(np.array([0] * 8 + [255] * 8, np.uint8), (16, 1)))


def row(image):
    return sitk.GetArrayFromImage(image)[16, 10:22]


exact = row(sitk.Expand(sitk.Cast(edge, sitk.sitkFloat32), [2, 2], sitk.sitkBSpline))
expanded = sitk.Expand(edge, [2, 2], sitk.sitkBSpline)
grid = expanded.GetOrigin(), expanded.GetSpacing(), edge.GetDirection()
resampled = sitk.Resample(edge, [32, 32], sitk.Transform(), sitk.sitkBSpline, *grid)
print('Expand, float', *(f'{value:.1f}' for value in exact))
print('Expand       ', *row(expanded))
print('Resample     ', *row(resampled))
outside = (exact <= -1) | (exact >= 256)
assert outside.any()
assert (np.abs(exact - row(resampled)) < 1)[~outside & (exact >= 0) & (exact <= 255)].all()
assert (np.abs(exact - row(expanded)) > 200)[outside].all()
assert row(resampled)[exact <= -1].max() == 0 and row(resampled)[exact >= 256].min() == 255
PYTHON
