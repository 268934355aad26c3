#!/usr/bin/env bash
# torchmetrics 1.9.0, kornia 0.9.0 and piq 0.8.0 (torch 2.14.1, Python 3.11)
#
# A batch has two images, one of 20 dB and one of 40 dB. torchmetrics' PSNR, whose reduction is called
# "elementwise_mean", and kornia's give the PSNR of the mean squared error of the whole batch, which the
# worse image decides; so does torchmetrics over all batches of a test set, and reduction='none' does
# not separate the images either (dim=(1, 2, 3) does). Tables of the field have the mean of the images'
# PSNRs, which is always the larger number.
#
# A guess: 30 dB from each. Seen:
#   piq 30.00, torchmetrics 22.97, kornia 22.97; torchmetrics with dim=(1, 2, 3) 30.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torchmetrics==1.9.0 kornia==0.9.0 piq==0.8.0 torch==2.14.1 \
    torchvision==0.29.2 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import kornia
import piq
import torch
from torchmetrics.image import PeakSignalNoiseRatio

gt = torch.full((2, 1, 8, 8), 0.5)
sr = gt + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
mean = piq.psnr(sr, gt, reduction='mean').item()
batch = PeakSignalNoiseRatio(data_range=1.0)(sr, gt).item()
per_image = PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3))(sr, gt).item()
of_kornia = kornia.metrics.psnr(sr, gt, 1.0).item()
print(f'piq {mean:.2f}, torchmetrics {batch:.2f}, kornia {of_kornia:.2f}; ', end='')
print(f'torchmetrics with dim=(1, 2, 3) {per_image:.2f}')
assert PeakSignalNoiseRatio(data_range=1.0, reduction='none')(sr, gt).shape == ()
assert abs(mean - 30) < 0.01 and abs(per_image - 30) < 0.01
assert abs(batch - 22.97) < 0.01 and abs(of_kornia - 22.97) < 0.01
PYTHON
