#!/usr/bin/env bash
# torch 2.14.1, torchvision 0.29.2, Pillow 13.0.0 (Python 3.11)
#
# antialias=True changes the bicubic *enlarging* of torch, where nothing can alias: it takes another
# cubic kernel (a = -0.5, Pillow's, instead of -0.75) and leaves out what lies beyond the border instead
# of repeating it. torchvision's resize has antialias=True by default, so it is not F.interpolate's
# bicubic. Bilinear enlarging is the same with and without. A bicubic baseline thus has two PSNRs.
#
# A guess: antialias changes nothing when enlarging. Seen, largest difference on noise of 0 to 1:
#   bilinear x2 0.000, x3 0.000, x4 0.000
#   bicubic  x2 0.067, x3 0.078, x4 0.082
#   torchvision's default is that with antialias
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.14.1 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

x = torch.from_numpy(np.random.default_rng(0).random((1, 1, 32, 32)).astype(np.float32))
for mode, least in (('bilinear', 0), ('bicubic', 0.05)):
    differences = []
    for scale in 2, 3, 4:
        plain, other = (
            F.interpolate(x, scale_factor=scale, mode=mode, antialias=antialias)
            for antialias in (False, True)
        )
        differences.append((plain - other).abs().max().item())
    print(f'{mode:8} ' + ', '.join(f'x{s} {d:.3f}' for s, d in zip((2, 3, 4), differences)))
    assert min(differences) > least if least else max(differences) < 1e-5
plain, other = (F.interpolate(x, (64, 64), mode='bicubic', antialias=value) for value in (False, True))
default = resize(x, [64, 64], interpolation=InterpolationMode.BICUBIC)
assert torch.equal(default, other) and not torch.equal(default, plain)
print("torchvision's default is that with antialias")
pillow = Image.fromarray(x[0, 0].numpy()).resize((64, 64), Image.Resampling.BICUBIC)
assert np.abs(np.asarray(pillow) - other[0, 0].numpy()).max() < 1e-5
PYTHON
