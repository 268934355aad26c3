#!/usr/bin/env bash
# imageio-ffmpeg 0.8.1 (its ffmpeg is 9.0.2), Python 3.11 or later, x86-64 Linux
#
# Frames of a video are handed to a network as RGB, and ffmpeg's scaler makes them from YUV 4:2:0.
# By default it does not round: flat grey comes out up to 0.8 of 255 too dark, so that a video that
# is read and written again and again darkens. The flag `accurate_rnd` alone makes it worse: every
# level loses another one, and white becomes 253. Only with `full_chroma_int` beside it are values
# those of the definition, rounded; `full_chroma_int` alone changes nothing.
#
# A guess: the flag for accurate rounding rounds accurately. Seen, grey of Y (studio range) as RGB:
#   Y 235  by definition 255.00  default 255  accurate_rnd 253  full_chroma_int 255  both 255
#   Y 221  by definition 238.70  default 238  accurate_rnd 237  full_chroma_int 238  both 239
#   Y 160  by definition 167.67  default 167  accurate_rnd 166  full_chroma_int 167  both 168
#   Y 51   by definition 40.75  default 40  accurate_rnd 39  full_chroma_int 40  both 41
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q imageio-ffmpeg==0.8.1
"$folder/env/bin/python" - <<'PYTHON'
import subprocess

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SIZE = 64, 48
FLAGS = 'accurate_rnd', 'full_chroma_int', 'accurate_rnd+full_chroma_int'


def grey(luma, flags=None):
    """The level that a flat frame has in RGB."""
    area = SIZE[0] * SIZE[1]
    command = [FFMPEG, '-v', 'error', '-f', 'rawvideo', '-pix_fmt', 'yuv420p']
    command += ['-s', '{}x{}'.format(*SIZE), '-i', '-']
    command += [] if flags is None else ['-sws_flags', flags]
    command += ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']
    frame = bytes([luma]) * area + bytes([128]) * (area // 2)
    out = subprocess.run(command, input=frame, stdout=subprocess.PIPE, check=True).stdout
    (level,) = set(out)
    return level


for luma in 235, 221, 160, 51:
    exact = (luma - 16) * 255 / 219
    default, rounding, chroma, both = grey(luma), *(grey(luma, flags) for flags in FLAGS)
    print(
        f'Y {luma:<3}  by definition {exact:.2f}  default {default}  accurate_rnd {rounding}  '
        f'full_chroma_int {chroma}  both {both}'
    )
    assert (default, chroma, both) == (int(exact), int(exact), round(exact))
    assert rounding == int(exact) - (2 if luma == 235 else 1)
PYTHON
