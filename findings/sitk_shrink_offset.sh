#!/usr/bin/env bash
# SimpleITK 2.5.7 (numpy 2.4.6, Python 3.11)
#
# SimpleITK's Shrink by 2 takes every second pixel, beginning with the second, but says in the result's
# origin that it lies between the first two: everything moves by half a pixel against the image it came
# from. BinShrink has the same origin and means, which fit it; Expand fits it too. LR made by Shrink and
# enlarged by Expand is shifted against its ground truth.
#
# A guess: enlarged again, a ramp is itself but at the ends. Seen, of 60 70 80 90 in its middle:
#   Shrink, origin 0.5:    65 75 85 95
#   BinShrink, origin 0.5: 60 70 80 90
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q SimpleITK==2.5.7 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

ramp = np.tile(np.arange(0, 160, 10, dtype=np.float32), (16, 1))
image = sitk.GetImageFromArray(ramp)
for name, shift in (('Shrink', 5), ('BinShrink', 0)):
    small = getattr(sitk, name)(image, [2, 2])
    back = sitk.GetArrayFromImage(sitk.Expand(small, [2, 2]))[8, 6:10]
    print(f'{name}, origin {small.GetOrigin()[0]}:', *back.astype(int))
    assert small.GetOrigin() == (0.5, 0.5) and (back == ramp[8, 6:10] + shift).all()
PYTHON
