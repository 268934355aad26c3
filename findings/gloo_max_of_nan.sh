#!/usr/bin/env bash
# torch 2.14.1 (numpy 2.4.6, Python 3.11), gloo on a CPU
#
# torch.maximum is NaN where one of the two is. all_reduce(MAX) of gloo is NaN or not, depending on which
# rank has it and where it lies in the tensor, as if each part were compared on another rank, and NaN
# counted only as one of the two operands. MIN does the same. Of a single number, as of a loss or a
# flag for overflow that is checked for all ranks, one rank's NaN is seen and another's is lost.
#
# A guess: NaN on all ranks. Seen, of 1 1 1 on one rank and nan nan nan on the other:
#   rank 0 has NaN: MAX nan nan 1, MIN nan nan 1, MAX of one number nan
#   rank 1 has NaN: MAX 1 1 nan, MIN 1 1 nan, MAX of one number 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.14.1 numpy==2.4.6
cd "$folder"
env/bin/python - <<'PYTHON'
import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def work(rank):
    dist.init_process_group('gloo', init_method=f'file://{os.getcwd()}/store', rank=rank, world_size=2)
    seen = []
    for of_rank in range(2):
        words = []
        for name, size in (('MAX', 3), ('MIN', 3), ('MAX of one number', 1)):
            found = torch.full((size,), float('nan') if rank == of_rank else 1.0)
            dist.all_reduce(found, op=getattr(dist.ReduceOp, name[:3]))
            words.append(' '.join([name, *(f'{number:g}' for number in found)]))
            seen.append(found.isnan().any().item())
            assert size == 1 or not found.isnan().all()
        if rank == 0:
            print(f'rank {of_rank} has NaN:', ', '.join(words), flush=True)
    assert seen[2] != seen[5]
    dist.destroy_process_group()


mp.start_processes(work, nprocs=2, start_method='fork')
PYTHON
