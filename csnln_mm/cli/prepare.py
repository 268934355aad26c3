"""Prepare test sets, DIV2K, images of your own or the images of the demo; check pairs."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from csnln_mm.cli import arguments
from csnln_mm.errors import UserError, failure_line
from csnln_mm.scales import SCALES

_BENCHMARKS = """\
Make test sets from HR images: GTmod12 and LRbicx2, LRbicx3, LRbicx4.

Each image is cropped to multiples of 12 and reduced by MATLAB's antialiased bicubic. Run it again
after an interruption: existing results are kept. Exit status 1 if an image failed; the others are
done."""

_DIV2K = """\
Cut DIV2K, or images of your own, into sub-images for training.

ROOT is where the download was unpacked: DIV2K_train_HR with 0001.png to 0800.png, and
DIV2K_train_LR_bicubic with X2, X3, X4. Run it again after an interruption: existing results are
kept. Exit status 1 if an image failed."""

_CHECK = """\
Report which pairs of low-quality and ground-truth images do not match, and why.

Partners have the same stem, or stems that differ only in an ending such as x2, LR, LQ, HR or GT.
Every image must have a partner, be undamaged and have 8 bits per channel; the ground truth must be
exactly --scale times as large. Exit status 1 if a pair does not match."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest='data', required=True, metavar='DATA')
    raw = argparse.RawDescriptionHelpFormatter

    benchmarks = commands.add_parser(
        'benchmarks',
        help='test sets such as Set5',
        description=_BENCHMARKS,
        formatter_class=raw,
        epilog='example: csnln prepare benchmarks downloads/Set5 data/Set5',
    )
    text = 'a test set: a folder of HR images, or with a subfolder HR; or a folder of test sets'
    benchmarks.add_argument('source', metavar='SRC', type=Path, help=text)
    benchmarks.add_argument(
        'target',
        metavar='DST',
        type=arguments.output_folder,
        help='folder for GTmod12 and LRbicx2 .., or for a folder per test set; the configs test on '
        'data/Set5, data/Set14, data/B100, data/Urban100 and data/Manga109',
    )

    div2k = commands.add_parser(
        'div2k',
        help='DIV2K, or training images of your own',
        description=_DIV2K,
        formatter_class=raw,
        epilog='examples:\n'
        '  csnln prepare div2k data/DIV2K\n'
        '  csnln prepare div2k data/DIV2K --make-lr --scales 2\n'
        '  csnln prepare div2k data/mine --images ~/Pictures\n'
        '  csnln train configs/csnln_x2_div2k.py --cfg-options '
        'train_dataloader.dataset.data_root=data/mine',
    )
    root = dict(metavar='ROOT', type=arguments.output_folder)
    div2k.add_argument('root', **root, help='data set; the configs train on data/DIV2K')
    group = div2k.add_mutually_exclusive_group()
    text = 'make the LR images from the HR images'
    group.add_argument('--make-lr', action='store_true', help=text)
    text = 'instead of DIV2K: make a data set of the same layout in ROOT from the images in DIR'
    group.add_argument('--images', metavar='DIR', type=Path, help=text)
    pixels = dict(type=int, metavar='PIXELS')
    text = 'side of sub-images; images must not be smaller (default: 480)'
    div2k.add_argument('--crop-size', **pixels, default=480, help=text)
    text = 'from one sub-image to the next (default: half of --crop-size)'
    div2k.add_argument('--step', **pixels, help=text)
    for command in benchmarks, div2k:
        command.add_argument(
            '--scales', nargs='+', type=int, choices=SCALES, default=SCALES, help='default: all'
        )
        command.add_argument(
            '--processes', type=arguments.at_least_one, metavar='N', help='default: one per core'
        )

    demo = commands.add_parser(
        'demo',
        help="scikit-image's photographs, the demo's training and test set",
        description="Write scikit-image's photographs as the demo's training and test set.",
    )
    text = 'folder to write (default: data/demo)'
    demo.add_argument('root', **root, nargs='?', default='data/demo', help=text)

    check = commands.add_parser(
        'check',
        help='pairs of your own: report which do not match, and why',
        description=_CHECK,
        formatter_class=raw,
        epilog='example: csnln prepare check photos/LR photos/HR --scale 2',
    )
    check.add_argument('lq', metavar='LQ', type=Path, help='folder of low-quality images')
    check.add_argument('gt', metavar='GT', type=Path, help='folder of ground-truth images')
    check.add_argument(
        '--scale', type=arguments.at_least_one, required=True, metavar='S', help='such as 2'
    )
    pixels = dict(type=arguments.at_least_one, metavar='PIXELS')
    text = 'side of the low-quality patches to train on (default: 48)'
    check.add_argument('--patch-size', **pixels, default=48, help=text)


def run(args: argparse.Namespace) -> int:
    commands = dict(benchmarks=_benchmarks, div2k=_div2k, demo=_demo, check=_check)
    return commands[args.data](args)


def _benchmarks(args: argparse.Namespace) -> int:
    from csnln_mm.datasets.benchmarks import prepare_benchmarks

    counts, failures = prepare_benchmarks(
        args.source, args.target, scales=args.scales, processes=args.processes
    )
    for name, count in counts.items():
        print(f'{args.target / name}: {count} images')
    return _report_failures(failures)


def _div2k(args: argparse.Namespace) -> int:
    from csnln_mm.datasets.div2k import ANNOTATION_FILE, SubImages, prepare_div2k

    step = args.crop_size // 2 if args.step is None else args.step
    failures = prepare_div2k(
        args.root,
        images=args.images,
        make_lr=args.make_lr,
        scales=args.scales,
        sub_images=SubImages(args.crop_size, step),
        processes=args.processes,
    )
    if not failures:
        path = args.root / ANNOTATION_FILE
        print(f'{path}: {len(path.read_text().splitlines())} sub-images')
    return _report_failures(failures)


def _report_failures(failures: Sequence[tuple[object, str]]) -> int:
    """Print which files failed and why, and return the exit status."""
    for path, reason in failures:
        print(failure_line(path, reason), file=sys.stderr)
    if failures:
        print(f'{len(failures)} failed; run again when they are fixed', file=sys.stderr)
    return 1 if failures else 0


def _demo(args: argparse.Namespace) -> int:
    try:
        from csnln_mm.datasets.demo import prepare_demo
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing: pip install 'csnln-mm[demo]'") from error
    prepare_demo(args.root)
    return 0


def _check(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import track

    from csnln_mm.datasets.pairs import find_misfits, find_pairs
    from csnln_mm.images.ground_truth import count_bands
    from csnln_mm.images.image_file import read_header

    pairs, unpaired = find_pairs(args.lq, args.gt)
    channels = None
    if pairs:
        with contextlib.suppress(UserError):
            path = pairs[0][1]
            channels = count_bands(path, read_header(path))
    size = dict(scale=args.scale, gt_patch_size=args.scale * args.patch_size, channels=channels)
    checking = track(
        find_misfits(pairs, **size, decode=True),
        'checking',
        total=len(pairs),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    misfits = [problem for problem in checking if problem]
    for problem in [f'{path} has no partner' for path in unpaired] + misfits:
        print(problem)
    print(f'{len(pairs) - len(misfits)} of {len(pairs)} pairs fit')
    return 1 if misfits or unpaired else 0
