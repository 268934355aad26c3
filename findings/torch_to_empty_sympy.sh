#!/usr/bin/env bash
# torch 2.14.1 (sympy 1.14.0, numpy 2.4.6, Python 3.11), CPU
#
# The first allocation of a tensor like one on the device meta, as nn.Module.to_empty makes it for each
# parameter, imports sympy and torch's symbolic shapes, some 500 modules that import torch leaves
# alone: empty_like of a meta tensor goes through torch's reference in Python. On small networks that
# takes longer than everything else between import torch and the result.
#
# A guess: an allocation, in microseconds. Seen, in a process that has imported torch:
#   torch.empty(shape)               0 modules, sympy: False
#   torch.empty_like(meta, 'cpu')    about 490 modules, sympy: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import sys
import time

import torch


def imported_by(name, allocate):
    before, start = len(sys.modules), time.perf_counter()
    allocate()
    seconds, count = time.perf_counter() - start, len(sys.modules) - before
    print(f'{name:30} {count:4} modules, sympy: {"sympy" in sys.modules}, {seconds:.4f} s')
    return count


layer = torch.nn.Linear(4, 4, device='meta')
assert 'sympy' not in sys.modules
assert imported_by('torch.empty(shape)', lambda: torch.empty(layer.weight.shape)) == 0
like = lambda: torch.empty_like(layer.weight, device='cpu')  # noqa: E731
assert imported_by("torch.empty_like(meta, 'cpu')", like) > 100
assert 'sympy' in sys.modules
PYTHON
