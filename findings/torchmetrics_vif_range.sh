#!/usr/bin/env bash
# torchmetrics 1.9.0, sewar 0.4.10 (torch 2.14.1, numpy 2.4.6, Python 3.11)
#
# torchmetrics' VIF (visual information fidelity) has no data_range and asks for no range. Its noise of
# variance 2 is meant for 0 to 255; beside the variances of an image in 0 to 1 it outweighs everything, and
# the result tells little but that there is noise: near 1, whatever the image. PSNR and SSIM of the
# same package are given 0 to 1 as a rule.
#
# A guess: the same for 0 to 1 and for 0 to 255, as of PSNR and SSIM with their data_range. Seen:
#   noise of 2 %:  0 to 1: 0.999  0 to 255: 0.623  sewar: 0.623
#   noise of 10 %: 0 to 1: 0.987  0 to 255: 0.191  sewar: 0.191
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torchmetrics==1.9.0 sewar==0.4.10 torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import sewar
import torch
from torchmetrics.functional.image import visual_information_fidelity

rng = np.random.default_rng(0)
gt = np.round((rng.random((64, 64, 3)) * 0.5 + 0.25) * 255)
for noise in (2, 10):
    sr = np.clip(np.round(gt + rng.normal(0, 2.55 * noise, gt.shape)), 0, 255)
    batch = [torch.from_numpy(image.transpose(2, 0, 1)[None]).float() for image in (sr, gt)]
    ones = visual_information_fidelity(*(image / 255 for image in batch)).item()
    bytes_ = visual_information_fidelity(*batch).item()
    other = sewar.vifp(gt.astype(np.uint8), sr.astype(np.uint8))
    print(f'noise of {noise} %: 0 to 1: {ones:.3f}  0 to 255: {bytes_:.3f}  sewar: {other:.3f}')
    assert ones > 0.97 and bytes_ < 0.7 and abs(bytes_ - other) < 0.01
PYTHON
