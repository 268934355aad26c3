#!/usr/bin/env python
"""Images per second of ``csnln upscale`` with several processes on the cores of this machine.

Each line: processes, threads of each, images per second from the first image on, those with the
start of the processes, and the share of the speed lost to sharing: of as many processes as there
are cores, against one with one thread on an idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def measure(folder: Path, jobs: int, threads: int) -> tuple[float, float]:
    """(images per second from the first image on, and from the start of the command on)"""
    command = [sys.executable, '-m', 'csnln_mm', 'upscale', folder / 'in', '-o', folder / 'out']
    started, first, images = time.perf_counter(), 0.0, 0
    with subprocess.Popen(
        [*command, '--overwrite', '--progress', 'json', '-g', 'cpu', '-j', str(jobs)],
        stdout=subprocess.PIPE,
        env=dict(os.environ, OMP_NUM_THREADS=str(threads)),
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)['event']
            if event == 'image' and not first:
                first = time.perf_counter()
            images += event == 'done'
    ended = time.perf_counter()
    assert process.returncode == 0
    return images / (ended - first), images / (ended - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=24)
    parser.add_argument('--size', type=int, default=256, help='side of an image in pixels')
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        (folder / 'in').mkdir()
        for number in range(args.images):
            pixels = rng.integers(0, 256, (args.size, args.size, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f'in/{number}.png')
        print(f'{cores} cores, load {os.getloadavg()[0]:.1f}, {args.images} images')
        print('processes  threads  images/s  with the start  lost')
        alone = 0.0
        for jobs, threads in (1, 1), (1, cores), (cores, 1):
            rate, whole = measure(folder, jobs, threads)
            alone = alone or rate
            lost = 1 - rate / alone / (jobs * threads)
            print(f'{jobs:9}{threads:9}{rate:10.2f}{whole:16.2f}{lost:6.0%}', flush=True)


if __name__ == '__main__':
    main()
