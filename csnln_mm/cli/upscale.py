"""Upscale images with a trained network.

examples:
  csnln upscale photo.jpg                                     # writes photo_x2.png
  csnln upscale photos 'scans/**/*.tif' -o large -r --scale 4
  csnln upscale photo.jpg -n csnln_x4.pth                     # your own checkpoint
  csnln upscale photos -o large -g 0,1,2,3                    # a process for each of four GPUs
  csnln upscale - --scale 3.5 < small.png > large.png
  csnln upscale moving.gif --frame 1                          # one of its frames

Exit status: 0 if all images are done or exist already, 1 if some failed, 2 if nothing was started
because an argument, the checkpoint or the device is wrong.
"""

import argparse
import contextlib
import functools
import inspect
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnln_mm.cli.arguments import add_shared, at_least_one, network, quality
from csnln_mm.cli.processes import run_processes
from csnln_mm.device import set_malloc_thresholds
from csnln_mm.errors import RunInterrupted, UserError, failure_line
from csnln_mm.shard import Shard, shard_of_process, wait_for_others

if TYPE_CHECKING:
    from csnln_mm.upscaling import UpscaleResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # Python would list all options once more.
    parser.usage = '%(prog)s [OPTION ...] INPUT [INPUT ...]'
    parser.add_argument(
        'inputs',
        nargs='*',
        metavar='INPUT',
        help="images, folders, or patterns like 'a/*.png'; - for stdin, with all images that come",
    )
    parser.add_argument(
        '-i',
        '--input',
        nargs='+',
        action='extend',
        default=[],
        metavar='INPUT',
        help='the same as INPUT',
    )
    parser.add_argument(
        '-o',
        '--out',
        '--output',
        help='folder to write to, or a file for a single input; - for stdout (default: '
        '{stem}_x{scale}.{format} next to each input)',
    )
    group = parser.add_argument_group('network')
    group.add_argument(
        '-n',
        '--model',
        '--checkpoint',
        dest='model',
        metavar='NAME|FILE',
        help='model that comes with the package (csnln models lists them), or a checkpoint: of a '
        'training run, converted, or as the authors released it (default: the model for --scale)',
    )
    add_shared(group, '--config', '--settings')
    group.add_argument(
        '-g',
        '--device',
        type=_devices,
        default=[None],
        help='cpu, cuda:1, or 1 for short; several as 0,1, each with a process of its own '
        '(default: cuda if available)',
    )
    group.add_argument(
        '-t',
        '--tile',
        type=_tile,
        metavar='PIXELS',
        help='side of the tiles, in pixels of the input; also limits how far the attention sees. '
        '0: the whole image at once; auto: by device and free memory (default: auto)',
    )
    group.add_argument(
        '--overlap',
        type=int,
        metavar='PIXELS',
        help='what neighbouring tiles share; needs --tile, and at most half of it (default: 16; '
        'without attention, as far as a result depends on the image)',
    )
    group.add_argument(
        '--tta',
        '--ensemble',
        dest='ensemble',
        action='store_true',
        help='average over the 8 flips and rotations: slightly better, takes 8 times as long',
    )
    group.add_argument(
        '--wrap',
        choices=['x', 'y', 'xy'],
        help='left and right, upper and lower borders continue each other: textures, panoramas (x)',
    )
    group.add_argument(
        '--alpha',
        choices=['network', 'bicubic'],
        default='network',
        help='what upscales transparency (default: network)',
    )
    precision = group.add_mutually_exclusive_group()
    precision.add_argument(
        '--dtype',
        choices=['float32', 'float16', 'bfloat16'],
        default='float32',
        help='precision of the network (default: float32)',
    )
    precision.add_argument(
        '--amp',
        action='store_const',
        dest='dtype',
        const='float16',
        help='the same as --dtype float16: less time and memory on a GPU',
    )
    sizes = parser.add_argument_group('size')
    size = sizes.add_mutually_exclusive_group()
    size.add_argument(
        '-s',
        '--scale',
        type=float,
        metavar='FACTOR',
        help='upscaling factor, such as 3.5; if the network has another one, its output is resized '
        "(default: the network's, or 2)",
    )
    for option, metavar, text in (
        ('--width', 'PIXELS', 'width of the results, instead of --scale; so are the next four'),
        ('--longest', 'PIXELS', 'longest side of the results'),
        ('--shortest', 'PIXELS', 'shortest side of the results'),
        ('--fit', 'WxH', 'largest size of the results, such as 3840x2160'),
        ('--at-least', 'WxH', 'smallest size of the results'),
    ):
        kind = int if metavar == 'PIXELS' else _size
        size.add_argument(option, type=kind, metavar=metavar, help=text)
    sizes.add_argument(
        '--skip-larger', action='store_true', help='leave out images that would be reduced'
    )
    values = parser.add_argument_group('values and bands')
    add_shared(values, '--range', '--bands')
    values.add_argument(
        '--frame',
        type=at_least_one,
        metavar='N',
        help='the frame of animations, or the page, to upscale (default: all)',
    )
    result = parser.add_argument_group('results')
    result.add_argument(
        '--name',
        metavar='TEMPLATE',
        help="name of the results, such as '{stem}_{model}_x{scale}'; also {width}, {height}",
    )
    result.add_argument(
        '-f',
        '--format',
        choices=['png', 'jpg', 'webp', 'avif', 'jxl', 'tiff', 'gif', 'bmp', 'same'],
        help='format of the results; same: that of each input (default: '
        'png, tiff for what a PNG cannot hold: bands, a georeference, negative values, and same '
        'for animations and pages)',
    )
    result.add_argument(
        '--quality',
        type=quality,
        help='quality of JPEG and WebP, 1 to 100 (default: JPEG 95, WebP lossless)',
    )
    result.add_argument('--strip', action='store_true', help='leave out EXIF, ICC profile and XMP')
    result.add_argument('-r', '--recursive', action='store_true', help='include subfolders')
    result.add_argument(
        '--overwrite', action='store_true', help='replace existing results (default: skip them)'
    )
    sharing = parser.add_argument_group('several processes')
    sharing.add_argument(
        '-j',
        '--jobs',
        type=at_least_one,
        metavar='N',
        help='share the images among N processes of this machine (default: one for each device)',
    )
    add_shared(sharing, '--shard')
    result.add_argument(
        '--progress',
        choices=['text', 'json', 'none'],
        help='text: lines, and a bar on terminals; json: one object per line; none (default: text)',
    )


def run(args: argparse.Namespace) -> int:
    inputs = [*args.input, *args.inputs]
    if not inputs:
        raise UserError('no input: name an image, a folder or a pattern')
    for option in 'config', 'settings':
        if getattr(args, option) and not args.model:
            raise UserError(f'--{option} is for a checkpoint that carries none: name it with -n')
    with _interrupted_by_sigterm():
        if '-' in inputs or args.out == '-':
            return _run_pipe(args, inputs)
        jobs = args.jobs or len(args.device)
        if jobs > 1:
            return _run_jobs(args, inputs, jobs)
        results = _upscale(args, inputs, args.out, progress=_progress(args))
        status = _report_failures(results, told=args.progress in (None, 'text'))
        wait_for_others(failed=status != 0)
    return status


def _progress(args: argparse.Namespace) -> Any:
    return {'json': 'json', 'text': True, 'none': False}[args.progress or 'text']


def _run_jobs(args: argparse.Namespace, inputs: list[str], jobs: int) -> int:
    """Run several processes, each with a share of the images."""
    outer = shard_of_process(1)
    if args.shard != 'auto':
        Shard.parse(args.shard)
    elif outer.count > 1:
        raise UserError(
            f'--jobs or several devices: this is one of {outer.count} processes already, by '
            f'{outer.origin}; name one device, and no --jobs'
        )
    failed: list[UpscaleResult] = []

    def tell(event: dict[str, Any]) -> None:
        # Imported now, while the processes work.
        from csnln_mm.upscaling import UpscaleResult
        from csnln_mm.upscaling.progress import reporter

        nonlocal report
        if report is None:
            report = stack.enter_context(reporter(_progress(args)))
        if event['event'] == 'failed':
            failed.append(UpscaleResult(event['source'], None, 'failed', event['reason']))
        report(event)

    report = None
    with contextlib.ExitStack() as stack:
        run_processes(functools.partial(_do_share, args, inputs, jobs), jobs, tell)
    return _report_failures(failed, told=args.progress in (None, 'text'))


def _do_share(
    args: argparse.Namespace, inputs: list[str], jobs: int, index: int, tell: Callable
) -> None:
    """Upscale a share of the images in one of several processes."""
    set_malloc_thresholds(mmap=None, trim=2047)
    if args.shard != 'auto':
        args.shard = str(Shard.parse(args.shard).split(index, jobs, ''))
    args.device = [args.device[index % len(args.device)]]
    with _interrupted_by_sigterm():
        _upscale(args, inputs, args.out, progress=tell)


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """In this context, SIGTERM acts like Control-C: what is being written is finished."""

    def interrupt(number: int, frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    received: list[int] = []
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if received:
            raise RunInterrupted('interrupted', received[0]) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _upscale(
    args: argparse.Namespace,
    inputs: list[str],
    out: str | None,
    *,
    progress: Any,
    stream: Any = None,
) -> 'list[UpscaleResult]':
    from csnln_mm.upscaling import upscale

    # Most options are called like the arguments of the function.
    known = inspect.signature(upscale).parameters
    options = {name: value for name, value in vars(args).items() if name in known}
    options |= dict(
        inputs=inputs,
        out=out,
        checkpoint=network(args.model, args.config, args.settings),
        suffix=_suffix(args.format),
        device=args.device[0],
        value_range=args.range,
        stream=stream,
        progress=progress,
    )
    return upscale(**options)


def _run_pipe(args: argparse.Namespace, inputs: list[str]) -> int:
    """Upscale from stdin, to stdout, or both, through files, which the readers need."""
    if len(inputs) != 1:
        raise UserError('- is a single input; it cannot be combined with other inputs')
    if (args.jobs or len(args.device)) > 1:
        raise UserError('- is a single input; it cannot be shared among processes')
    from csnln_mm.upscaling.progress import reporter
    from csnln_mm.upscaling.stream import ImageStream

    to_stdout = args.out in (None, '-')
    with tempfile.TemporaryDirectory(prefix='csnln-') as folder:
        source, stream = inputs[0], None
        if source == '-':
            stream = ImageStream(sys.stdin.buffer, sys.stdout.buffer, Path(folder))
            source = str(stream.first)
        several = stream is not None and stream.has_more
        if several and not to_stdout:
            raise UserError('several images come from stdin; their results can only go to stdout')
        args.shard = None
        # Where the image goes to stdout, lines go to stderr, and those of one image if asked for.
        kind = _progress(args) if args.progress or several or not to_stdout else False
        with reporter(kind, sys.stderr if to_stdout else sys.stdout) as report:

            def tell(event: dict[str, Any]) -> None:
                target = {'target': 'stdout'} if to_stdout and 'target' in event else {}
                named = {k: _named(v, folder) for k, v in event.items()}
                report(dict(named, **target))

            out = f'{folder}/results' if to_stdout else args.out
            results = _upscale(
                args, [source], out, progress=tell, stream=stream if several else None
            )
        named = [
            result._replace(
                source=_named(result.source, folder), reason=_named(result.reason, folder)
            )
            for result in results
        ]
        status = _report_failures(named, told=kind is True)
        if to_stdout and not several and status == 0:
            with open(str(results[0].target), 'rb') as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    return status


def _named(text: Any, folder: str) -> Any:
    """Remove the temporary folder of a pipe from a text."""
    return text.replace(f'{folder}/', '') if isinstance(text, str) else text


def _report_failures(results: 'list[UpscaleResult]', *, told: bool = False) -> int:
    """Print failures unless they were ``told``; return the exit status."""
    failed = [result for result in results if result.status == 'failed']
    for result in failed if not told else []:
        print(failure_line(result.source, result.reason), file=sys.stderr)
    return 1 if failed else 0


def _suffix(format: str | None) -> str:
    if format is None:
        return 'auto'
    return 'same' if format == 'same' else f'.{format}'


def _tile(text: str) -> int | None:
    if text == 'auto':
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'expected auto, 0 or a number of pixels, got {text}')
    return int(text)


def _devices(text: str) -> list[str | None]:
    names = {name: f'cuda:{name}' if name.isdecimal() else name for name in text.split(',')}
    return [None if name == 'auto' else names[name] for name in text.split(',')]


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f'expected a size such as 3840x2160, got {text}')
    return int(width), int(height)
