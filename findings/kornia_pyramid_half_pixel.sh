#!/usr/bin/env bash
# kornia 0.9.0, opencv-python-headless 5.0.0.93 (torch 2.14.1, numpy 2.4.6, Python 3.11)
#
# kornia's pyrdown and pyrup blur with the kernel of OpenCV's pyrDown and pyrUp, but take other samples:
# OpenCV keeps every second pixel, kornia interpolates in the middle between two. Each level of a pyramid
# is shifted by half a pixel against the other library's, and smoother. Images of a pair of which one was
# made by each do not fit together.
#
# A guess: the same to a level inside. Seen, of a ramp of steps of 4 from 0:
#   down: OpenCV 80 88 96 104   kornia 82 90 98 106
#   up:   OpenCV 20 22 24 26    kornia 19 21 23 25
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q kornia==0.9.0 opencv-python-headless==5.0.0.93 torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import cv2
import numpy as np
import torch
from kornia.geometry import pyrdown, pyrup

ramp = np.tile(np.arange(64, dtype=np.float32) * 4, (64, 1))
batch = torch.from_numpy(ramp)[None, None]


def middle(image):
    return np.asarray(image).reshape(np.asarray(image).shape[-2:])[16, 10:14]


pairs = {
    'down': (middle(cv2.pyrDown(ramp)), middle(pyrdown(batch))),
    'up  ': (middle(cv2.pyrUp(ramp)), middle(pyrup(batch))),
}
for name, (opencv, kornia) in pairs.items():
    print(f'{name}: OpenCV', *(f'{x:.0f}' for x in opencv), '  kornia', *(f'{x:.0f}' for x in kornia))
assert np.allclose(pairs['down'][1] - pairs['down'][0], 2, atol=0.01)
assert np.allclose(pairs['up  '][1] - pairs['up  '][0], -1, atol=0.01)
PYTHON
