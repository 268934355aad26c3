#!/usr/bin/env bash
# webdataset 1.0.2, Pillow 13.0.0 (numpy 2.4.6, Python 3.11)
#
# A shard has PNGs of 16-bit grey, as of depth, X-rays and microscopes. Decoded as "l" or "rgb", which
# promise floating point from 0 to 1, they are divided by 255 instead of 65535, and all from 255 on is 1:
# a normal image of 16 bits becomes white everywhere, without a warning.
#
# A guess: divided by 65535, or an error. Seen, of the values 100, 1000 and 30000:
#   l    0.392 1.000 1.000
#   rgb  0.392 1.000 1.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q webdataset==1.0.2 pillow==13.0.0 numpy==2.4.6
cd "$folder"
env/bin/python - <<'PYTHON'
import io

import numpy as np
import webdataset
from PIL import Image

png = io.BytesIO()
Image.fromarray(np.array([[100, 1000, 30000]], np.uint16)).save(png, 'PNG')
with webdataset.TarWriter('shard.tar') as shard:
    shard.write({'__key__': 'scan', 'png': png.getvalue()})
for kind in ('l', 'rgb'):
    sample = next(iter(webdataset.WebDataset('shard.tar', shardshuffle=False).decode(kind)))
    values = np.asarray(sample['png'])[0].reshape(3, -1)[:, 0]
    print(f'{kind:4}', *(f'{value:.3f}' for value in values))
    assert np.allclose(values, [100 / 255, 1, 1], atol=1e-3)
PYTHON
