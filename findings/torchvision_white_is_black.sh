#!/usr/bin/env bash
# torchvision 0.29.1 (torch 2.14.1, numpy 2.4.6, Python 3.11)
#
# to_dtype(..., scale=True) from float32 to uint16 makes black of white: 1.0 becomes 0, because it is
# multiplied by 65535.999, which float32 rounds to 65536, and that does not fit. To uint8, white is 255.
# From uint8 to uint16, 255 becomes 65280, not 65535, so white is not white either.
#
# A guess: 1.0 and 255 become 65535. Seen:
#   float32 0, 0.5, 1 to uint16:  0 32768 0
#   uint8 0, 128, 255 to uint16:  0 32768 65280
#   float32 0, 0.5, 1 to uint8:   0 127 255
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torchvision==0.29.1 torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import torch
from torchvision.transforms.v2.functional import to_dtype

floats, bytes_ = torch.tensor([0, 0.5, 1]), torch.tensor([0, 128, 255], dtype=torch.uint8)
white = to_dtype(floats, torch.uint16, scale=True).tolist()
wide = to_dtype(bytes_, torch.uint16, scale=True).tolist()
narrow = to_dtype(floats, torch.uint8, scale=True).tolist()
print('float32 0, 0.5, 1 to uint16: ', *white)
print('uint8 0, 128, 255 to uint16: ', *wide)
print('float32 0, 0.5, 1 to uint8:  ', *narrow)
assert white[2] == 0 and wide[2] == 65280 and narrow[2] == 255
PYTHON
