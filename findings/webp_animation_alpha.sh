#!/usr/bin/env bash
# Pillow 12.3.0 (its libwebp is 1.6.0), Python 3.11 or later
#
# A lossless animated WebP of frames in RGBA loses its transparency: each frame is an opaque
# rectangle in a transparent image, and the file that Pillow writes has frames in RGB, opaque
# everywhere. The encoder cuts a frame down to the rectangle that is not transparent, finds no
# transparent pixel in it, and the file as a whole is not marked as having transparency; a decoder
# then fills the rest with a background. The same frame as a still image keeps it, and so do frames
# that are all key frames (kmin=0, kmax=1).
#
# A guess: lossless means that what is read is what was written. Seen:
#   still      RGBA, alpha 0 to 255
#   animation  RGB, alpha 255 to 255
#   key frames RGBA, alpha 0 to 255
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pillow==12.3.0
"$folder/env/bin/python" - <<'PYTHON'
import io

from PIL import Image, features

assert features.version('webp') == '1.6.0'
FRAMES = []
for left in 4, 20:
    image = Image.new('RGBA', (48, 32))
    image.paste((200, 40, 40, 255), (left, 8, left + 12, 24))
    FRAMES.append(image)


def read_back(name, frames, **options):
    """Each frame's mode and the least and greatest alpha."""
    file = io.BytesIO()
    frames[0].save(
        file, 'WEBP', lossless=True, save_all=True, append_images=frames[1:], **options
    )
    file.seek(0)
    image = Image.open(file)
    seen = set()
    for index in range(image.n_frames):
        image.seek(index)
        seen.add((image.mode, image.convert('RGBA').getchannel('A').getextrema()))
    assert image.n_frames == len(frames) and len(seen) == 1
    ((mode, (low, high)),) = seen
    print(f'{name:10} {mode}, alpha {low} to {high}')
    return mode


assert read_back('still', FRAMES[:1]) == 'RGBA'
assert read_back('animation', FRAMES) == 'RGB'
assert read_back('key frames', FRAMES, kmin=0, kmax=1) == 'RGBA'
PYTHON
