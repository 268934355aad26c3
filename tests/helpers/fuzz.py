"""Files with changed bytes, given to the readers: a result or one line, within seconds.

usage: python tests/helpers/fuzz.py [--count 600] [--seeds 0 1] [--formats png pth ...]

Whole files are made by the libraries of their formats and changed as this runs; none is kept. One
process reads one file after another, with 10 seconds and 2 GB of memory for each, and is started
again when a file ends it. Reported are, for each format, how many files were read, refused, and
refused for the memory alone that they would take; the slowest; the most memory that the process had
in use; and each file that ended otherwise: the status is then 1. The test suite does the same with
30 files of each format.
"""

import argparse
import io
import json
import random
import runpy
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import Timer

ROOT = Path(__file__).parents[2]
IMAGES = 'png', 'tiff', 'jpeg', 'webp', 'bmp', 'ppm', 'avif', 'gif', 'jpeg2000', 'heif', 'jxl'
FORMATS = *IMAGES, 'safetensors', 'pth', 'onnx'
SECONDS, BYTES = 10, 2 * 10**9


def whole_files(kind: str) -> list[bytes]:
    """Valid files of a format, of several arrangements."""
    if kind in ('safetensors', 'pth', 'onnx'):
        return _networks(kind)
    import numpy as np
    import tifffile
    from PIL import Image

    from csnln_mm.images.formats import load_plugin

    load_plugin(kind.upper())
    pixels = np.add.outer(np.arange(24) * 9, np.arange(32) * 5)[..., None] + [0, 20, 40]
    deep, image = pixels.astype(np.uint16) * 100, Image.fromarray(pixels.astype(np.uint8))
    files = []
    for options in {
        'png': [{}, dict(optimize=True)],
        'jpeg': [dict(quality=80), dict(progressive=True)],
        'tiff': [{}, dict(compression='tiff_lzw'), dict(compression='jpeg')],
        'webp': [dict(lossless=True), dict(quality=80)],
        'bmp': [{}],
        'ppm': [{}],
        'avif': [{}],
        'gif': [{}, dict(save_all=True, append_images=[image.rotate(180)])],
        'jpeg2000': [{}, dict(irreversible=True, quality_layers=[20])],
        'heif': [{}],
        'jxl': [dict(lossless=True), dict(quality=80)],
    }[kind]:
        exif = Image.Exif()
        exif[274] = 6
        file = io.BytesIO()
        image.save(file, kind, exif=exif.tobytes(), **options)
        files.append(file.getvalue())
    if kind == 'png':
        import cv2

        files.append(cv2.imencode('.png', deep)[1].tobytes())
    if kind == 'tiff':
        for planes in False, True:
            file = io.BytesIO()
            data = np.moveaxis(deep, -1, 0) if planes else deep
            config = 'separate' if planes else 'contig'
            tifffile.imwrite(file, data, photometric='rgb', planarconfig=config)
            files.append(file.getvalue())
    return files


def _networks(kind: str) -> list[bytes]:
    import torch

    from csnln_mm.integrations.onnx import export_onnx
    from csnln_mm.integrations.safetensors import save_safetensors
    from csnln_mm.networks import build_network

    architecture = dict(mid_channels=4, num_recurrences=1, upscale_factor=2)
    network = build_network(architecture)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f'network.{kind}')
        if kind == 'onnx':
            export_onnx(network, path, tile=16)
            return [path.read_bytes()]
        if kind == 'safetensors':
            save_safetensors(network.state_dict(), architecture, path)
            return [path.read_bytes()]
        files = []
        for is_zip in True, False:
            meta = dict(cfg=f'model = dict(generator={architecture!r})')
            weights = {f'generator.{key}': value for key, value in network.state_dict().items()}
            content = dict(meta=meta, state_dict=weights)
            torch.save(content, path, _use_new_zipfile_serialization=is_zip)
            files.append(path.read_bytes())
        return files


def mutate(content: bytes, chance: random.Random) -> bytes:
    """One or two of: bytes changed, a number set to an extreme, a piece doubled, lost or moved."""
    for _ in range(chance.randint(1, 2)):
        # Every other time near the beginning, where headers are.
        end = len(content) if chance.random() < 0.5 else min(len(content), 300)
        at, length = chance.randrange(end + 1), chance.randint(1, 16)
        before, piece, after = content[:at], content[at : at + length], content[at + length :]
        kind = chance.choice(['bytes', 'bit', 'extreme', 'double', 'lose', 'move', 'cut'])
        if kind == 'bytes':
            piece = chance.randbytes(len(piece))
        elif kind == 'bit' and piece:
            piece = bytes([piece[0] ^ 1 << chance.randrange(8)]) + piece[1:]
        elif kind == 'extreme':
            extreme = chance.choice([b'\xff\xff\xff\xff', b'\x7f\xff\xff\xff', bytes(4)])
            piece = extreme[: len(piece)] + piece[4:]
        elif kind == 'double':
            piece *= 2
        elif kind == 'lose':
            piece = b''
        elif kind == 'move':
            other = chance.randrange(len(after) + 1)
            after = after[:other] + piece + after[other:]
            piece = b''
        else:
            after = after if chance.random() < 0.7 else b''
        content = before + piece + after
    return content


def mutations(kind: str, count: int, seed: int) -> list[bytes]:
    """Changed files of a format; the same for the same seed and whole files."""
    chance = random.Random(f'{kind} {seed}')
    files = whole_files(kind)
    return [mutate(chance.choice(files), chance) for _ in range(count)]


def read(path: Path, kind: str) -> str:
    """Give a file to what reads its format: 'read', 'refused' or 'refused-for-memory'.

    Any other exception is a fault.
    """
    from csnln_mm.checkpoints import load_network
    from csnln_mm.errors import UserError
    from csnln_mm.images.image_file import read_header, read_image, read_rgb

    try:
        if kind in ('safetensors', 'pth', 'onnx'):
            load_network(path)
        else:
            read_header(path)
            image = read_image(path)
            assert image.pixels.shape[:2] == image.size[::-1]
            assert read_rgb(path).shape == (*image.size[::-1], 3)
    except UserError as error:
        assert '\n' not in str(error) and path.name in str(error), str(error)
        about_memory = any(text in str(error) for text in ('enough memory', 'GB are free'))
        return 'refused-for-memory' if about_memory else 'refused'
    return 'read'


def read_by_example(path: Path) -> str:
    """Give an ONNX file to the example of the documentation, which runs it."""
    example = runpy.run_path(str(ROOT / 'docs/examples/upscale_onnx.py'))
    try:
        example['main'](str(path), str(path.with_suffix('.png')), str(path.with_name('out.png')))
    except SystemExit as error:
        assert error.code and '\n' not in str(error.code), error.code
        return 'refused'
    return 'read'


def work() -> None:
    """Read files named on standard input, one a line, and tell the outcome of each."""
    import os
    import resource

    import cv2  # noqa: F401
    import torch

    from csnln_mm.checkpoints import load_network
    from csnln_mm.upscaling import Upscaler  # noqa: F401

    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # onnxruntime prints on standard output
    torch.set_num_threads(1)
    load_network('csnln-x2-fast')
    with open('/proc/self/statm') as file:
        used = int(file.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, used + BYTES))
    print('ready', file=answers, flush=True)
    for line in sys.stdin:
        kind, path = line.rstrip('\n').split(' ', 1)
        try:
            result = read_by_example(Path(path)) if kind == 'example' else read(Path(path), kind)
        except BaseException as error:
            result = f'fault {type(error).__name__}: {" ".join(str(error).split()):.200}'
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
        print(peak, result, file=answers, flush=True)


class Worker:
    """The process that reads, started again when a file has ended it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, kind: str, path: Path) -> tuple[str, float, int]:
        """The result, its seconds, and the most MB that the process has used so far."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__, '--work'],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert self.process.stdout.readline() == 'ready\n'
        process, begin = self.process, time.monotonic()
        timer = Timer(SECONDS, process.kill)
        timer.start()
        print(kind, path, file=process.stdin, flush=True)
        peak, _, result = process.stdout.readline().rstrip('\n').partition(' ')
        timer.cancel()
        seconds = time.monotonic() - begin
        if not result:
            status = process.wait()
            self.process = None
            result = 'fault too slow' if seconds >= SECONDS else f'fault ended with {status}'
        return result, seconds, int(peak or 0)

    def end(self) -> None:
        """Let the process end."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def main() -> int:
    """Run it; 1 if a file ended otherwise than read or refused."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--count', type=int, default=600, help='files of each format and seed')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--formats', nargs='+', choices=FORMATS, default=FORMATS)
    parser.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work()
        return 0
    worker, faults = Worker(), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'file.bin')
        from PIL import Image

        Image.new('RGB', (20, 18)).save(path.with_suffix('.png'))
        for kind in args.formats:
            for reader in [kind, 'example'] if kind == 'onnx' else [kind]:
                counts: Counter[str] = Counter()
                slowest, most_mb = 0.0, 0
                for seed in args.seeds:
                    for number, content in enumerate(mutations(kind, args.count, seed)):
                        path.write_bytes(content)
                        result, seconds, peak = worker(reader, path)
                        counts[result.split()[0]] += 1
                        slowest, most_mb = max(slowest, seconds), max(most_mb, peak)
                        if result.startswith('fault'):
                            faults += reader != 'example'
                            print(f'{reader} seed {seed} number {number}: {result}', flush=True)
                line = dict(reader=reader, **counts, slowest=round(slowest, 2), peak_mb=most_mb)
                print(json.dumps(line), flush=True)
    worker.end()
    return int(faults > 0)


if __name__ == '__main__':
    sys.exit(main())
