#!/usr/bin/env bash
# pyvips 3.2.0 with pyvips-binary 8.18.7 (Pillow 13.0.0, numpy 2.4.6, Python 3.11)
#
# libvips' thumbnail, the way it recommends to reduce an image, makes 8 bits of 16 bits, grey or colour,
# with or without a profile. `resize` keeps 16 bits. LR and ground truth then differ in depth, and a
# reader of both sees values that are 257 times as small.
#
# A guess: the type of the image is kept. Seen, of a 16-bit PNG of 30000 everywhere:
#   thumbnail: uchar 117
#   resize:    ushort 30000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pyvips==3.2.0 pyvips-binary==8.18.7 pillow==13.0.0 numpy==2.4.6
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import pyvips
from PIL import Image

Image.fromarray(np.full((64, 64), 30000, np.uint16)).save('grey.png')
small = pyvips.Image.thumbnail('grey.png', 32)
resized = pyvips.Image.new_from_file('grey.png').resize(0.5)
seen = [(image.format, int(image.numpy()[16, 16])) for image in (small, resized)]
print('thumbnail:', *seen[0])
print('resize:   ', *seen[1])
assert seen == [('uchar', 117), ('ushort', 30000)]
PYTHON
