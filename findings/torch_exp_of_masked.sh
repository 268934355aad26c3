#!/usr/bin/env bash
# torch 2.14.1, numpy 2.4.6, Python 3.11 or later, x86-64 Linux
#
# torch.exp on a CPU is slow where the result is 0 or a denormal number: 20 to 200 times for float32, as
# of the -inf of masked logits. torch.exp2 takes little longer for a result of 0, and 13 times as long
# for a denormal one. A softmax over selective logits has many of them.
#
# A guess: exp of -inf or of -10000 takes as long as that of -10, since it is a clamp and a zero.
# Seen, CPU time of 2^18 numbers on one core with AVX-512:
#   exp(-10.0):  0.043 ms
#   exp(-inf):  0.835 ms
#   exp(-10000.0):  2.681 ms
#   exp(-100.0):  8.410 ms
#   exp2(-10.0):  0.061 ms
#   exp2(-inf):  0.080 ms
#   exp2(-10000.0):  0.099 ms
#   exp2(-140.0):  0.790 ms
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import time

import torch

torch.set_num_threads(1)


def least(function, number):
    """CPU milliseconds of 2^18 numbers, the least of several runs."""
    x = torch.full((2**18,), number)
    out = torch.empty_like(x)
    times = []
    for _ in range(12):
        start = time.thread_time()
        function(x, out=out)
        times.append(time.thread_time() - start)
    return 1000 * min(times)


times = {}
for function in torch.exp, torch.exp2:
    denormal = -100.0 if function is torch.exp else -140.0
    for number in -10.0, float('-inf'), -10000.0, denormal:
        times[function.__name__, number] = least(function, number)
        print(f'{function.__name__}({number}):  {times[function.__name__, number]:.3f} ms')
for number in float('-inf'), -10000.0, -100.0:
    assert times['exp', number] > 10 * times['exp', -10.0]
for number in float('-inf'), -10000.0:
    assert times['exp2', number] < 3 * times['exp2', -10.0]
PYTHON
