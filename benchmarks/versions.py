#!/usr/bin/env python
"""Measure this version beside an older one: CPU seconds of both, and their ratio.

    python benchmarks/versions.py --against de0f6e6
    python benchmarks/versions.py --against de0f6e6 --only inputs export --rounds 1

The older commit is checked out into a folder that is removed in the end. Both versions run with
the same Python and packages; a case takes turns between them, in a process for each run, and the
least of its runs counts. With two threads the seconds are those of both together.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[1]
INPUTS = 'noise', 'facade', 'text', 'gradient'
STEPS = 5, 25


class Case(NamedTuple):
    """A row of the table: what is run, its arguments, and on how many threads."""

    group: str
    name: str
    function: str
    arguments: tuple[str, ...]
    threads: int = 1


CASES = [
    *(
        Case('inputs', f'{model}, 64x64, {kind}', 'upscale', (model, kind, '64'), threads)
        for model in ('csnln-x2-attention', 'csnln-x3-attention', 'csnln-x4-attention')
        for threads in (1, 2)
        for kind in INPUTS
    ),
    *(
        Case('models', f'{model}, {width}x{height}', 'files', (model, str(width), str(height)), 2)
        for model, width, height in (
            *(
                (f'csnln-{scale}-{kind}', 512, 512)
                for scale in ('x2', 'x3', 'x4')
                for kind in ('fast', 'attention')
            ),
            ('csnln-x2-fast', 2000, 1500),
        )
    ),
    *(
        Case('training', 'csnln train, csnln_x2_fast, a step', 'train', ('csnln_x2_fast',), threads)
        for threads in (1, 2)
    ),
    Case('export', 'csnln export to ONNX, csnln-x2-fast', 'export', ('csnln-x2-fast',)),
    Case('export', 'csnln export to ONNX, released x4', 'export', ('released',)),
    Case('onnx', 'csnln-x2-fast in onnxruntime, 64x64', 'onnx', ('float32',)),
    Case('onnx', 'the same, --int8 against float32', 'onnx', ('int8',)),
]


def picture(kind: str, side: int) -> np.ndarray:
    """An image of [side, side, 3], always the same."""
    if kind == 'noise':
        return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    rows, columns = np.indices((side, side))
    if kind == 'gradient':
        return (np.stack([rows, columns, (rows + columns) / 2], -1) * (255 / side)).astype(np.uint8)
    if kind == 'facade':
        window = (rows % 16 > 4) & (columns % 12 > 3)
        return np.where(window[..., None], (40, 60, 90), (200, 180, 150)).astype(np.uint8)
    image = Image.new('RGB', (side, side), 'white')
    draw = ImageDraw.Draw(image)
    for row in range(0, side, 12):
        draw.text((1, row), 'cross-scale non-local attention ' * (side // 128 + 1), 'black')
    return np.asarray(image)


def cpu_seconds(function: Callable[[], Any], runs: int = 3) -> float:
    """The least of some runs, after one that sets up what is kept."""
    function()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return min(seconds)


def upscale(model: str, kind: str, side: str) -> float:
    from csnln_mm.upscaling import Upscaler

    upscaler, image = Upscaler(model, device='cpu'), picture(kind, int(side))
    return cpu_seconds(lambda: upscaler(image), 3 if image.shape[0] < 100 else 1)


def command(*words: object) -> float:
    """Seconds of ``csnln`` and the processes that it starts."""

    start = _children()
    line = [sys.executable, '-m', 'csnln_mm', *map(str, words)]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f'{" ".join(line)}\n{done.stdout}')
    end = _children()
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


def _children() -> Any:
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def files(model: str, width: str, height: str) -> dict[str, float]:
    """``csnln upscale`` with its defaults; the memory is the process's peak, all libraries with
    it."""
    pixels = picture('facade', max(int(width), int(height)))[: int(height), : int(width)]
    Image.fromarray(pixels).save('image.png')
    seconds = command('upscale', 'image.png', '-o', 'large.png', '-n', model, '-g', 'cpu')
    return dict(seconds=seconds, memory=_children().ru_maxrss * 1024)


def photographs() -> str:
    """A folder of four smooth images."""
    Path('gt').mkdir(exist_ok=True)
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)
        image = Image.fromarray(pixels).resize((240, 240), Image.Resampling.BICUBIC)
        image.save(f'gt/{number}.png')
    return 'gt'


def train(config: str) -> dict[str, Any]:
    """Seconds of a step, by two trainings of unequal length, and the losses of the longer."""
    seconds, losses = [], []
    for steps in STEPS:
        options = '--gt', photographs(), '--val', 1, '--steps', steps, '--work-dir', f'work{steps}'
        settings = (
            'default_hooks.logger.interval=1',
            'randomness.seed=0',
            'train_dataloader.num_workers=0',
            'train_dataloader.persistent_workers=False',
        )
        file = f'{os.environ["VERSION"]}/configs/compact/{config}.py'
        seconds.append(command('train', file, *options, '--cfg-options', *settings))
        (log,) = Path(f'work{steps}').rglob('scalars.json')
        losses = [line['loss'] for line in map(json.loads, log.open()) if 'loss' in line]
    return dict(seconds=(seconds[1] - seconds[0]) / (STEPS[1] - STEPS[0]), losses=losses)


def export(model: str, *options: object) -> float:
    """Of a model of the package, or of random weights of the released x4 network."""
    if model == 'released':
        import torch

        from csnln_mm.checkpoints.released import convert_to_released_state_dict
        from csnln_mm.networks import CSNLNNet

        torch.manual_seed(0)
        weights = CSNLNNet(upscale_factor=4).state_dict()
        model = 'released.pth'
        torch.save(convert_to_released_state_dict(weights).state_dict, model)
    return command('export', model, '-o', 'model.onnx', '--format', 'onnx', *options)


def onnx(kind: str) -> float:
    """Seconds of a tile; an older version, without int8, in float32."""
    import onnxruntime

    options = []
    if (
        kind == 'int8'
        and Path(os.environ['VERSION'], 'csnln_mm/integrations/onnx_int8.py').exists()
    ):
        options = ['--int8', '--calibrate', photographs()]
    export('csnln-x2-fast', *options)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = int(os.environ['OMP_NUM_THREADS'])
    session = onnxruntime.InferenceSession('model.onnx', settings, ['CPUExecutionProvider'])
    tile = picture('facade', 64).transpose(2, 0, 1)[None].astype(np.float32) / 255
    return cpu_seconds(lambda: session.run(None, {session.get_inputs()[0].name: tile}), 20)


def run(case: Case, version: Path) -> dict[str, Any]:
    """Run a case once with the package of a folder, in a process and a folder of their own."""
    environment = dict(
        os.environ,
        PYTHONPATH=str(version),
        VERSION=str(version),
        OMP_NUM_THREADS=str(case.threads),
        # Both keep their compiled files, so that reading the sources does not count.
        PYTHONPYCACHEPREFIX=str(Path(tempfile.gettempdir(), f'pycache-{version.name}')),
    )
    environment.pop('PYTHONDONTWRITEBYTECODE', None)
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, __file__, '--run', case.function, *case.arguments]
        done = subprocess.run(line, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f'{case.name}, {version}: failed')
    result = json.loads(done.stdout.splitlines()[-1])
    return result if isinstance(result, dict) else dict(seconds=result)


def measure(case: Case, older: Path, rounds: int) -> dict[str, Any]:
    """Least seconds and memory of both versions, and how far their losses differ."""
    results: dict[Path, list[dict[str, Any]]] = {older: [], ROOT: []}
    for _ in range(rounds):
        for version, measured in results.items():
            measured.append(run(case, version))
    row = case._asdict()
    for name, version in dict(older=older, this=ROOT).items():
        row[name] = min(result['seconds'] for result in results[version])
        if 'memory' in results[version][0]:
            row[f'{name}_memory'] = min(result['memory'] for result in results[version])
    if 'losses' in results[ROOT][0]:
        before, now = (np.array(results[version][0]['losses']) for version in (older, ROOT))
        row['losses'] = float(abs(now / before - 1).max())
    return row


def spread(rows: list[dict[str, Any]], version: str) -> dict[tuple[str, int], float]:
    """Slowest by fastest input of each model and number of threads."""
    found: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        if row['group'] == 'inputs':
            found.setdefault((row['arguments'][0], row['threads']), []).append(row[version])
    return {key: max(seconds) / min(seconds) for key, seconds in found.items()}


def report(rows: list[dict[str, Any]]) -> str:
    """The tables of what was measured, in Markdown."""
    from csnln_mm.tables import format_table

    header = ['CPU seconds', 'threads', 'before', 'now', 'times as fast']
    if any('this_memory' in row for row in rows):
        header += ['memory before', 'now']
    cells = [
        [
            row['name'],
            str(row['threads']),
            f'{row["older"]:.3g}',
            f'{row["this"]:.3g}',
            f'{row["older"] / row["this"]:.2f}',
            *(
                f'{row[key] / 2**20:,.0f} MiB' if key in row else ''
                for key in ('older_memory', 'this_memory')[: len(header) - 5]
            ),
        ]
        for row in rows
    ]
    parts = [format_table(header, cells, 'markdown')]
    if before := spread(rows, 'older'):
        now = spread(rows, 'this')
        cells = [
            [model, str(threads), f'{before[model, threads]:.2f}', f'{now[model, threads]:.2f}']
            for model, threads in before
        ]
        header = 'slowest input / fastest', 'threads', 'before', 'now'
        parts.append(format_table(header, cells, 'markdown'))
    if losses := [row['losses'] for row in rows if 'losses' in row]:
        parts.append(
            f'Losses of {STEPS[1]} steps differ by at most {max(losses):.1e} of their value.'
        )
    return '\n\n'.join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--against', metavar='COMMIT', help='the older version')
    groups = sorted({case.group for case in CASES})
    parser.add_argument('--only', nargs='+', choices=groups, default=groups)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--run', nargs='+', help=argparse.SUPPRESS)  # a case, in its process
    args = parser.parse_args()
    if args.run:
        function, *words = args.run
        functions = dict(upscale=upscale, files=files, train=train, export=export, onnx=onnx)
        print(json.dumps(functions[function](*words)))
        return
    if not args.against:
        parser.error('--against: which commit?')
    cases = [case for case in CASES if case.group in args.only]
    with tempfile.TemporaryDirectory() as folder:
        older = Path(folder, 'older')
        git = 'git', '-C', str(ROOT), 'worktree'
        subprocess.run([*git, 'add', '--quiet', '--detach', older, args.against], check=True)
        try:
            rows = []
            for number, case in enumerate(cases, start=1):
                print(f'{number} of {len(cases)}: {case.name}', file=sys.stderr, flush=True)
                rows.append(measure(case, older, args.rounds))
        finally:
            subprocess.run([*git, 'remove', '--force', older], check=True)
    print(report(rows))


if __name__ == '__main__':
    main()
