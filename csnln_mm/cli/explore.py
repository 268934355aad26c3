"""``csnln explore``: the page in the browser."""

import argparse
from typing import Any

from csnln_mm.errors import UserError

__all__ = ['HELP', 'add_arguments', 'run']

HELP = """Open a page where an image is upscaled, and shows where its detail comes from.

examples:
  csnln explore --checkpoint csnln_x2.pth
  csnln explore photo.jpg --checkpoint with=attention.pth without=plain.pth

Needs Gradio: pip install 'csnln-mm[explore]'. Only this machine can reach the page, unless --host
says otherwise; nothing is sent to, or fetched from, the network. Ctrl-C ends it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('image', nargs='?', metavar='IMAGE', help='first among the examples')
    parser.add_argument(
        '--checkpoint',
        nargs='+',
        required=True,
        metavar='[NAME=]FILE',
        help='of the networks to choose from; the first is chosen to begin with',
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        metavar='ADDRESS',
        help='to listen at; 0.0.0.0: other machines reach the page, without a password (default: '
        'this machine alone)',
    )
    parser.add_argument(
        '--port', type=int, metavar='N', help='default: the first free one from 7860'
    )
    parser.add_argument(
        '--max-pixels',
        type=int,
        default=4_000_000,
        metavar='N',
        help='of an image that is taken (default: 4000000)',
    )
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: cuda if there is some)')


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C or SIGTERM."""
    import signal
    import threading
    from pathlib import Path

    from csnln_mm.explore import Server
    from csnln_mm.images.image_file import read_image

    examples: dict[str, Any] = {}
    if args.image:
        examples[f'{Path(args.image).stem}.png'] = read_image(args.image)
    examples.update(_photographs())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Server(
        _networks(args.checkpoint),
        examples=examples,
        host=args.host,
        port=args.port,
        max_pixels=args.max_pixels,
        device=args.device,
    ) as server:
        print(f'{server.url} (Ctrl-C ends it)', flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print('closed')
    return 0


def _networks(checkpoints: list[str]) -> dict[str, Any]:
    from pathlib import Path

    from csnln_mm.checkpoints import load_network

    networks = {}
    for checkpoint in checkpoints:
        name, equals, path = checkpoint.partition('=')
        path = path if equals else checkpoint
        name = name if equals else Path(checkpoint).stem
        if name in networks:
            raise UserError(f'two checkpoints are named {name}; name them by NAME=FILE')
        networks[name] = load_network(path)
    return networks


def _photographs() -> dict[str, Any]:
    """Those of scikit-image, if it is installed, at half their size."""
    try:
        from csnln_mm.datasets.demo import EXAMPLES
    except ImportError:
        return {}
    from csnln_mm.images import downsample, mod_crop

    return {f'{name}.png': downsample(mod_crop(load(), 2), 2) for name, load in EXAMPLES.items()}
