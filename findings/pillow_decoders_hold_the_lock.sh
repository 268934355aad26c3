#!/usr/bin/env bash
# pillow 12.3.0, numpy 2.2.6, Python 3.10 or later (with the GIL), x86-64 Linux
#
# Pillow decodes most formats without Python's lock, so that other threads work meanwhile. While it
# decodes JPEG 2000, nothing else in the process runs, however long it takes: no other thread, no
# timeout, no signal handler, not Control-C. With AVIF the same holds for about half of the time.
#
# A guess: JPEG 2000 and WebP hold the lock, PNG, JPEG and AVIF let go of it. Seen, as the longest
# pause of another thread in a part of the time that decoding took:
#   PNG      0.02
#   JPEG     0.23
#   WEBP     0.11
#   AVIF     0.60
#   JPEG2000 0.99
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pillow==12.3.0 numpy==2.2.6
"$folder/env/bin/python" - <<'PYTHON'
import io
import threading
import time

import numpy as np
from PIL import Image

small = np.random.default_rng(0).integers(0, 256, (250, 250, 3), np.uint8)
image = Image.fromarray(small).resize((2000, 2000), Image.Resampling.BICUBIC)
pauses = []


def tick():
    last = time.monotonic()
    while True:
        time.sleep(0.001)
        now = time.monotonic()
        pauses.append(now - last)
        last = now


threading.Thread(target=tick, daemon=True).start()
shares = {}
for kind, options in {
    'PNG': {},
    'JPEG': {},
    'WEBP': dict(method=0),
    'AVIF': dict(speed=10),
    'JPEG2000': {},
}.items():
    file = io.BytesIO()
    image.save(file, kind, **options)
    runs = []
    for _ in range(5):
        opened = Image.open(io.BytesIO(file.getvalue()))
        pauses.clear()
        start = time.monotonic()
        opened.load()
        seconds = time.monotonic() - start
        time.sleep(0.01)
        runs.append(max(pauses) / seconds)
    shares[kind] = min(runs)
    print(f'{kind:<9}{shares[kind]:.2f}')
assert max(shares['PNG'], shares['JPEG'], shares['WEBP']) < 0.4 < shares['AVIF'], shares
assert shares['JPEG2000'] > 0.8, shares
PYTHON
