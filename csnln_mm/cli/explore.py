"""Serve a page where you upscale images and see where their detail comes from.

examples:
  csnln explore
  csnln explore photo.jpg --checkpoint with=attention.pth without=plain.pth

Needs Gradio: pip install 'csnln-mm[explore]'. Only this machine can reach the page, unless you set
--host; it works offline and sends nothing. Ctrl-C stops it.
"""

import argparse
from pathlib import Path
from typing import Any

from csnln_mm.cli.arguments import add_shared, named_paths
from csnln_mm.limits import PAGE_PIXELS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('image', nargs='?', metavar='IMAGE', help='image to open')
    parser.add_argument(
        '--checkpoint',
        nargs='+',
        metavar='[NAME=]FILE',
        help='checkpoints to choose from, or models that csnln models lists; the first is '
        'preselected (default: all models of the package)',
    )
    text = "preselected factor (default: the first network's)"
    parser.add_argument('-s', '--scale', type=float, metavar='FACTOR', help=text)
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        metavar='ADDRESS',
        help='address to listen on; 0.0.0.0: other machines can reach the page, without a password '
        '(default: this machine only)',
    )
    parser.add_argument(
        '--allow-host',
        nargs='+',
        default=[],
        metavar='NAME',
        help='names that the page is reached by, e.g. of this machine in the network, or of a '
        'proxy (addresses, localhost and --host always work)',
    )
    parser.add_argument(
        '--port', type=int, metavar='N', help='default: the first free one from 7860'
    )
    text = 'refuse larger images (default: %(default)s)'
    parser.add_argument('--max-pixels', type=int, default=PAGE_PIXELS, metavar='N', help=text)
    add_shared(parser, '--device')


def run(args: argparse.Namespace) -> None:
    import signal
    import threading

    from csnln_mm.checkpoints import load_network
    from csnln_mm.explore import Server
    from csnln_mm.images.image_file import read_image
    from csnln_mm.upscaling.upscaler import check_scale

    check_scale(args.scale)
    paths = named_paths(args.checkpoint or _models(args.scale), 'checkpoints')
    images: dict[str, Any] = {}
    if args.image:
        images[f'{Path(args.image).stem}.png'] = read_image(args.image)
    for name, photograph in _photographs().items():
        images.setdefault(name, photograph)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Server(
        {name: load_network(path) for name, path in paths.items()},
        examples=images,
        open_first=args.image is not None,
        scale=args.scale,
        host=args.host,
        allow_hosts=args.allow_host,
        port=args.port,
        max_pixels=args.max_pixels,
        device=args.device,
    ) as server:
        print(f'{server.url} (Ctrl-C stops it)', flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print('closed')


def _models(scale: float | None) -> list[str]:
    """The names of the package's models, beginning with the one for the scale."""
    from csnln_mm.checkpoints import choose_pretrained, list_pretrained

    first = choose_pretrained(scale).name
    return [first, *(model.name for model in list_pretrained() if model.name != first)]


def _photographs() -> dict[str, Any]:
    """The photographs of scikit-image, if it is installed, at half their size."""
    try:
        from csnln_mm.datasets.demo import EXAMPLES
    except ImportError:
        return {}
    from csnln_mm.images import downsample, mod_crop

    return {f'{name}.png': downsample(mod_crop(load(), 2), 2) for name, load in EXAMPLES.items()}
