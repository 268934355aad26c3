#!/usr/bin/env bash
# piq 0.8.0 (torch 2.14.1, scikit-image 0.26.0, pytorch-msssim 1.0.0, torchmetrics 1.9.0, Python 3.11)
#
# piq's SSIM is not that of the image: with the default downsample=True, images are first averaged and
# subsampled by round(shorter side / 256). Up to a side of 384 nothing happens; from there the value
# jumps, because fine noise, and fine detail that a method failed to restore, is averaged away. With
# downsample=False it is the value of the other libraries.
#
# A guess: five libraries agree to 0.001 on any size. Seen, of the same kind of image and noise:
#   128x128  scikit-image 0.8630  pytorch-msssim 0.8630  torchmetrics 0.8635  piq 0.8630
#   512x512  scikit-image 0.8089  pytorch-msssim 0.8089  torchmetrics 0.8095  piq 0.9621
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q piq==0.8.0 torch==2.14.1 torchvision==0.29.2 scikit-image==0.26.0 \
    pytorch-msssim==1.0.0 torchmetrics==1.9.0 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import piq
import pytorch_msssim
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

rng = np.random.default_rng(0)
for side in 128, 512:
    gt = gaussian_filter(rng.random((side, side)), 1.5)
    gt = (gt - gt.min()) / (gt.max() - gt.min())
    sr = np.clip(gt + rng.normal(0, 0.05, gt.shape), 0, 1)
    tensors = [torch.tensor(image, dtype=torch.float32)[None, None] for image in (sr, gt)]
    wang = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    values = {
        'scikit-image': structural_similarity(sr, gt, data_range=1, **wang),
        'pytorch-msssim': pytorch_msssim.ssim(*tensors, data_range=1.0).item(),
        'torchmetrics': structural_similarity_index_measure(*tensors, data_range=1.0).item(),
        'piq': piq.ssim(*tensors, data_range=1.0).item(),
    }
    print(f'{side}x{side}', *(f'{name} {value:.4f}' for name, value in values.items()), sep='  ')
    reduced = values.pop('piq')
    assert max(values.values()) - min(values.values()) < 1e-3
    assert (reduced > max(values.values()) + 0.1) == (side == 512)
    kept = piq.ssim(*tensors, data_range=1.0, downsample=False).item()
    assert abs(kept - values['pytorch-msssim']) < 1e-4
PYTHON
