#!/usr/bin/env bash
# sewar 0.4.10, torchmetrics 1.9.0 (torch 2.14.1, numpy 2.4.6, Python 3.11)
#
# ERGAS, the error of pan-sharpening and of satellite super-resolution, is 100 h/l times the relative
# error, where h/l is the size of a high-resolution pixel over that of a low-resolution one: 1/4 at x4.
# Both libraries take "ratio of high resolution to low resolution" with a default of 4; torchmetrics
# divides by it, sewar multiplies, so that the same images have 16 times the error. (Beside it was noticed:
# RASE, which both have too, is 64 times as large in torchmetrics, the area of its window of 8x8.)
#
# A guess: both divide. Seen, of images whose relative error is 3.97 %:
#   ratio 4: torchmetrics 0.99, sewar 15.89
#   ratio 2: torchmetrics 1.99, sewar 7.95
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q sewar==0.4.10 torchmetrics==1.9.0 torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import sewar
import torch
from torchmetrics.functional.image import error_relative_global_dimensionless_synthesis as ergas

rng = np.random.default_rng(0)
gt = rng.random((64, 64, 3)) * 0.5 + 0.25
sr = gt + rng.normal(0, 0.02, gt.shape)
relative = 100 * np.sqrt((((gt - sr) ** 2).mean((0, 1)) / gt.mean((0, 1)) ** 2).mean())
batch = [torch.from_numpy(image.transpose(2, 0, 1)[None]) for image in (sr, gt)]
for ratio in (4, 2):
    divided, multiplied = ergas(*batch, ratio=ratio).item(), sewar.ergas(gt, sr, r=ratio)
    print(f'ratio {ratio}: torchmetrics {divided:.2f}, sewar {multiplied:.2f}')
    assert abs(divided - relative / ratio) < 1e-3 and abs(multiplied - relative * ratio) < 1e-3
PYTHON
