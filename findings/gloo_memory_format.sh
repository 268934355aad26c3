#!/usr/bin/env bash
# torch 2.14.1 (numpy 2.4.6, Python 3.11), gloo on a CPU
#
# all_reduce and broadcast of gloo take tensors in channels last, and add or copy what lies at the same
# place in memory. Where one rank's tensor is in channels last and another's is not, though both have the
# same shape, the sum mixes elements of different indices, without an error or a warning; all_gather of
# the same tensors is right. The memory format of a convolution's gradient follows that of its input and
# weight, so gradients that a program averages itself can differ in it.
#
# A guess: elements of the same index are added, or an error. Seen, of 0, 1, 2, ... on both ranks:
#   all_reduce: 0 13 3 16 6 19 (0 2 4 6 8 10 is right)
#   broadcast:  0 2 4 6 8 10 (0 1 2 3 4 5 is right)
#   all_gather: 0 1 2 3 4 5
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

numbers = torch.arange(24.0).view(1, 2, 3, 4)


def show(name, tensor):
    print(name, *(f'{number:.0f}' for number in tensor.flatten()[:6]))


def work(rank):
    dist.init_process_group('gloo', init_method=f'file://{os.getcwd()}/store', rank=rank, world_size=2)
    layout = torch.channels_last if rank else torch.contiguous_format
    own = numbers.contiguous(memory_format=layout)
    total, copy = own.clone(), own.clone()
    everyone = [torch.zeros_like(numbers) for _ in range(2)]
    dist.all_reduce(total)
    dist.broadcast(copy, src=0)
    dist.all_gather(everyone, own)
    assert not torch.equal(total, 2 * numbers)
    assert all(torch.equal(one, numbers) for one in everyone)
    if rank == 0:
        show('all_reduce:', total)
    dist.barrier()
    if rank == 1:
        assert not torch.equal(copy, numbers)
        show('broadcast: ', copy)
        show('all_gather:', everyone[1])
    dist.destroy_process_group()


mp.start_processes(work, nprocs=2, start_method='fork')
PYTHON
