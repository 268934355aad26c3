"""Try to decode the page's uploads in a process of its own, since only that can be stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from csnln_mm import limits
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_image, read_image_size

_COMMAND = sys.executable, '-m', 'csnln_mm.images.trial'


def check_decoding(path: Path, max_pixels: int) -> None:
    """Check that an image can be read, with the time and memory that its size may take.

    A decoder that hangs, takes all memory or crashes ends the process of the trial, not this one.

    Args:
        path: of the file.
        max_pixels: of the image.

    Raises:
        UserError: as :func:`~csnln_mm.images.image_file.read_image` does; or if the image has more
            pixels, or its decoder takes too long or ends the process.
    """
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [*_COMMAND, path, str(max_pixels)],
        env={**os.environ, 'PYTHONPATH': paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if done.returncode == -signal.SIGXCPU:
        raise UserError(f'{path} is refused: decoding it takes too long for its size')
    if done.returncode:
        raise UserError(done.stdout.strip() or f'{path} is damaged: its decoder fails')


def _limit_process(max_pixels: int) -> None:
    import resource

    seconds = limits.DECODING_SECONDS + limits.DECODING_SECONDS_PER_MEGAPIXEL * max_pixels // 10**6
    memory = limits.TRIAL_BYTES + limits.IMAGE_BYTES_PER_PIXEL * max_pixels
    for kind, limit in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        most = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if most < 0 else min(limit, most), most))


def main(path: str, max_pixels: int) -> str | None:
    """Read an image, and return why not."""
    _limit_process(max_pixels)
    try:
        width, height = read_image_size(path)
        if width * height > max_pixels:
            return (
                f'{path} has {width}x{height} pixels, more than the limit of {max_pixels:,}; '
                'csnln explore --max-pixels raises it'
            )
        read_image(path)
    except UserError as error:
        return str(error)
    return None


if __name__ == '__main__':
    refusal = main(sys.argv[1], int(sys.argv[2]))
    print(refusal or '')
    sys.exit(refusal is not None)
