#!/usr/bin/env bash
# pytorch-optimizer 4.1.0 (torch 2.14.1, Python 3.11)
#
# The first step of SOAP changes no parameter: it only fills the preconditioner with the gradient. So
# the loss of step 2 is that of step 1 on other data, a test of one step "does not train", and a warm
# start that steps once does nothing. Others of the same package move at once.
#
# A guess: each step moves the parameters. Seen, the largest change of a parameter in steps 1, 2, 3:
#   SOAP    0.0000 0.0151 0.0242
#   Shampoo 0.0100 0.0071 0.0058
#   Kron    moves in each of the three
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q pytorch-optimizer==4.1.0 torch==2.14.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import pytorch_optimizer
import torch


def steps(name):
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = getattr(pytorch_optimizer, name)([parameter], lr=1e-2)
    changes = []
    for _ in range(3):
        before = parameter.detach().clone()
        parameter.grad = torch.full((4, 4), 0.1) + torch.eye(4)
        optimizer.step()
        changes.append((parameter.detach() - before).abs().max().item())
    return changes


soap, shampoo, kron = map(steps, ('SOAP', 'Shampoo', 'Kron'))
print('SOAP    {:.4f} {:.4f} {:.4f}'.format(*soap))
print('Shampoo {:.4f} {:.4f} {:.4f}'.format(*shampoo))
print('Kron    moves in each of the three')
assert soap[0] == 0 and min(soap[1:]) > 0
assert min(shampoo) > 0 and min(kron) > 0
PYTHON
