#!/usr/bin/env bash
# torch 2.14.1 (its oneDNN is 3.12.0), numpy 2.4.6, Python 3.11 or later, x86-64 Linux with AVX-512
#
# A strided transposed convolution of a map in channels last is three to four times as slow where
# neither height nor width has a small divisor: 131x131 against 131x132, which has more pixels. One
# even side is enough to be quick. With one thread the two are alike, so that for 131x131 two threads
# take longer than one. By its own log (ONEDNN_VERBOSE=1) oneDNN runs the same kernel for both,
# brg_deconv:avx512_core. At 48 channels it shows, at 64 it does not; nor for the plain convolution
# that computes the same before a pixel shuffle, nor with ONEDNN_MAX_CPU_ISA=AVX2.
#
# A guess: 131x131 takes as long as 131x132, or a per cent less. Seen, 2 CPU cores:
#   131x131  39.7 ms
#   131x132  12.6 ms
#   132x131  12.3 ms
#   131x131, one thread  21.6 ms
#   131x131, 64 channels  21.4 ms
#   131x131, as a plain convolution and a shuffle  12.7 ms
set -euo pipefail
grep -q avx512f /proc/cpuinfo || { echo 'no AVX-512 here'; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(2)


def transposed(x):
    channels = x.shape[1]
    kernel = torch.ones(channels, channels, 6, 6)
    return lambda: F.conv_transpose2d(x, kernel, stride=2, padding=2)


def shuffled(x):
    kernel = torch.ones(4 * x.shape[1], x.shape[1], 3, 3)
    return lambda: F.pixel_shuffle(F.conv2d(x, kernel, padding=1), 2)


@torch.inference_mode()
def least(size, channels=48, form=transposed):
    """Milliseconds, the least of several runs."""
    run = form(torch.rand(1, channels, *size).contiguous(memory_format=torch.channels_last))
    times = []
    for _ in range(12):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


odd, even, high = least((131, 131)), least((131, 132)), least((132, 131))
wide, other = least((131, 131), channels=64), least((131, 131), form=shuffled)
print(f'131x131  {odd:.1f} ms\n131x132  {even:.1f} ms\n132x131  {high:.1f} ms')
torch.set_num_threads(1)
one = least((131, 131))
print(f'131x131, one thread  {one:.1f} ms')
print(f'131x131, 64 channels  {wide:.1f} ms')
print(f'131x131, as a plain convolution and a shuffle  {other:.1f} ms')
assert odd > 2 * even and odd > 2 * high and odd > 1.5 * wide and odd > 2 * other and odd > 1.2 * one
PYTHON
