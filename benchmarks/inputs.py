#!/usr/bin/env python
"""Compare the time of images that are easy and hard for attention, by each way to upscale.

    python benchmarks/inputs.py
    python benchmarks/inputs.py --models csnln-x2-attention --ways upscaler training --threads 2

Noise, a facade, text and a gradient take turns in one process for each model and way, and the least
CPU seconds of each count, of all threads together. Starting Python and loading do not count.
"""

import argparse
import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from versions import INPUTS, ROOT, picture  # noqa: E402

MODELS = 'csnln-x2-attention', 'csnln-x3-attention', 'csnln-x4-attention'


def by_upscaler(model: str) -> Callable[[str], Any]:
    from csnln_mm.upscaling import Upscaler

    upscaler = Upscaler(model, device='cpu')
    return lambda kind: upscaler(read(kind))


def by_command(model: str) -> Callable[[str], Any]:
    from csnln_mm.cli import main

    return lambda kind: main(
        ['upscale', f'{kind}.png', '-o', 'large.png', '-n', model, '-g', 'cpu', '--overwrite']
    )


def by_spandrel(model: str) -> Callable[[str], Any]:
    import torch

    from csnln_mm.cli import main
    from csnln_mm.integrations.spandrel import register

    register()
    from spandrel import ModelLoader

    main(['export', model, '-o', 'model.safetensors'])
    network = ModelLoader('cpu').load_from_file('model.safetensors')

    def run(kind: str) -> None:
        with torch.inference_mode():
            network(tensor(kind))

    return run


def by_onnx(model: str) -> Callable[[str], Any]:
    from csnln_mm.cli import main

    main(['export', model, '-o', 'model.onnx', '--format', 'onnx'])
    example = runpy.run_path(str(ROOT / 'docs/examples/upscale_onnx.py'))['main']
    return lambda kind: example('model.onnx', f'{kind}.png', 'large.png')


def by_explore(model: str) -> Callable[[str], Any]:
    """The page's upscaling, and its attention maps of the pixel in the middle."""
    import gradio as gr

    from csnln_mm.checkpoints import load_network
    from csnln_mm.explore.session import Session
    from csnln_mm.explore.views import Work, attention_views, upscale_views

    session = Session(Path('session').absolute(), {model: load_network(model)}, 10**6, 'cpu')
    session.folder.mkdir()

    def run(kind: str) -> None:
        session.take_image(Path(f'{kind}.png').absolute(), keep=True)
        upscale_views(session, model, 2.0, None, False, Work(session, gr.Progress()))
        side = read(kind).shape[0]
        session.record_attention('A', model, side, (side // 2, side // 2))
        attention_views(session, 'A', 1, 1)

    return run


def by_training(model: str) -> Callable[[str], Any]:
    """A step of Adam, on the image as one patch; every step starts with the model's weights."""
    import torch

    from csnln_mm.checkpoints import load_network

    network = load_network(model).train()
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)

    def run(kind: str) -> None:
        network.load_state_dict(weights)
        result = network(tensor(kind))
        optimizer.zero_grad()
        torch.nn.functional.l1_loss(result, torch.full_like(result, 0.5)).backward()
        optimizer.step()

    return run


WAYS = dict(
    upscaler=by_upscaler,
    command=by_command,
    spandrel=by_spandrel,
    onnx=by_onnx,
    explore=by_explore,
    training=by_training,
)


def read(kind: str) -> Any:
    import numpy as np

    return np.asarray(Image.open(f'{kind}.png'))


def tensor(kind: str) -> Any:
    import torch

    return torch.from_numpy(read(kind).copy()).permute(2, 0, 1)[None] / 255


def measure(model: str, way: str, side: int, rounds: int) -> dict[str, float]:
    """Least CPU seconds by input, after a round that does not count."""
    for kind in INPUTS:
        Image.fromarray(picture(kind, side)).save(f'{kind}.png')
    with contextlib.redirect_stdout(io.StringIO()):
        run = WAYS[way](model)
        seconds: dict[str, list[float]] = {kind: [] for kind in INPUTS}
        for _ in range(rounds + 1):
            for kind, measured in seconds.items():
                start = time.process_time()
                run(kind)
                measured.append(time.process_time() - start)
    return {kind: min(measured[1:]) for kind, measured in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--models', nargs='+', choices=MODELS, default=MODELS)
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=list(WAYS))
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--side', type=int, default=64, help='of the images (default: 64)')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--run', action='store_true', help=argparse.SUPPRESS)  # in its process
    args = parser.parse_args()
    if args.side < 8 or min(args.rounds, *args.threads) < 1:
        parser.error('--side must be at least 8, --rounds and --threads at least 1')
    if args.run:
        print(json.dumps(measure(args.models[0], args.ways[0], args.side, args.rounds)))
        return
    from csnln_mm.tables import format_table

    rows = []
    numbers = '--side', str(args.side), '--rounds', str(args.rounds), '--run'
    for threads in args.threads:
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        environment['PYTHONPATH'] = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
        for way in args.ways:
            for model in args.models:
                print(f'{threads} threads: {way}, {model}', file=sys.stderr, flush=True)
                line = [sys.executable, __file__, '--models', model, '--ways', way, *numbers]
                with tempfile.TemporaryDirectory() as folder:
                    done = subprocess.run(
                        line, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True
                    )
                seconds = json.loads(done.stdout.splitlines()[-1])
                slowest, fastest = max(seconds.values()), min(seconds.values())
                each = [f'{value:.3g}' for value in seconds.values()]
                rows.append([way, model, str(threads), *each, f'{slowest / fastest:.2f}'])
                print(f'    {" ".join(rows[-1][3:])}', file=sys.stderr, flush=True)
    header = 'CPU seconds', 'model', 'threads', *INPUTS, 'slowest / fastest'
    print(format_table(header, rows, 'markdown'))


if __name__ == '__main__':
    main()
