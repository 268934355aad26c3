"""What each open page holds on the server, and what is removed when it is closed."""

import contextlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import (
    ImageData,
    as_8_bit_rgb,
    read_image,
    read_image_size,
    write_image,
)
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization.attention import AttentionRecord, crop_window


class Stopped(Exception):
    """Nobody waits for the result any more."""


class Session:
    """One open page.

    Args:
        folder: of its files.
        networks: by name, those that every page has.
        max_pixels: of an image that is taken.
        device: see :class:`~csnln_mm.upscaling.Upscaler`.

    Attributes:
        image: the one on the page; None without any.
        path: of its file within ``folder``.
        networks: by name, with those that were added on the page.
        records: of the attention, by slot, each with what it was made of.
        points: the pixel of each slot.
    """

    def __init__(
        self,
        folder: Path,
        networks: Mapping[str, nn.Module],
        max_pixels: int,
        device: str | None = None,
    ) -> None:
        self.folder, self.networks = folder, dict(networks)
        self.max_pixels, self.device = max_pixels, device
        self.image: ImageData | None = None
        self.path: Path | None = None
        self.records: dict[str, tuple[tuple, AttentionRecord]] = {}
        self.points: dict[str, tuple[int, int]] = {}
        self._stops: set[threading.Event] = set()
        self._numbers = itertools.count()

    def take_image(self, path: Path, *, keep: bool = False) -> None:
        """Read an uploaded image, which moves into the session's folder (``keep``: is copied).

        Raises:
            UserError: if it is no image, or has too many pixels.
        """
        self.forget_image()
        here = self._take(path, keep)
        try:
            with as_uploaded(here):
                width, height = read_image_size(here)
                if width * height > self.max_pixels:
                    raise UserError(
                        f'{path.name} has {width}x{height} pixels, more than the limit of '
                        f'{self.max_pixels:,}; csnln explore --max-pixels raises it'
                    )
                self.image = read_image(here)
        except UserError:
            here.unlink()
            raise
        self.path = here

    def forget_image(self) -> None:
        """Stop the work on the image, and remove it and what was made of it."""
        self.stop()
        for folder in self.folder.iterdir():
            shutil.rmtree(folder)
        self.image = self.path = None
        self.forget_attention()

    def forget_attention(self) -> None:
        """Another image or network makes the records useless."""
        self.records.clear()
        self.points.clear()

    def take_checkpoint(self, path: Path) -> str:
        """Load an uploaded checkpoint, which is removed; the name of its network.

        Raises:
            UserError: if it is none.
        """
        here = self._take(path)
        try:
            with as_uploaded(here):
                self.networks[path.stem] = load_network(here)
        finally:
            here.unlink()
        return path.stem

    def require_image(self) -> ImageData:
        """Raises: UserError: if there is no image."""
        if self.image is None:
            raise UserError('there is no image yet: drop one at the top of the page')
        return self.image

    def require_pixel(self, x: float | None, y: float | None) -> tuple[int, int]:
        """Raises: UserError: if there is no image, or no such pixel in it."""
        image = self.require_image()
        if x is None or y is None:
            raise UserError('click on the image, or give x and y')
        pixel = int(x), int(y)
        crop_window(image, pixel, 0)  # tells if it lies outside
        return pixel

    def upscaler(self, name: str, **options: Any) -> Upscaler:
        """Of a network; options as of :class:`~csnln_mm.upscaling.Upscaler`."""
        return Upscaler(self.networks[name], device=self.device, **options)

    def record_attention(self, slot: str, name: str, window: int, pixel: tuple[int, int]) -> None:
        """Run the network, unless a record of what it would see is there."""
        for record, made_of in list(self.records.values()):
            if made_of[:2] == (name, window) and (record.is_whole or made_of[2] == pixel):
                break
        else:
            record = AttentionRecord(self.upscaler(name, tile=0), self.image, pixel, window=window)
            made_of = name, window, pixel
        self.records[slot] = record, made_of
        self.points[slot] = pixel

    def write(self, image: ImageData | np.ndarray, name: str = 'image.png', **options: str) -> str:
        """Write a file of this session; its path.

        Raises:
            Stopped: if the page was closed.
        """
        if not self.folder.exists():
            raise Stopped
        path = self._new_path(name)
        write_image(path, image, **options)
        return str(path)

    def work(self) -> Callable[[], None]:
        """Begin some work: call what is returned now and then; it raises Stopped after a stop."""
        stop = threading.Event()
        self._stops.add(stop)

        def check() -> None:
            if stop.is_set():
                raise Stopped

        return check

    def stop(self) -> None:
        """End the work that was begun."""
        while self._stops:
            self._stops.pop().set()

    def _take(self, path: Path, keep: bool = False) -> Path:
        here = self._new_path(path.name)
        here.parent.mkdir()
        try:
            shutil.copy(path, here) if keep else os.replace(path, here)
        except FileNotFoundError as error:  # two pages with the same file at the same moment
            raise UserError(f'{path.name} was not uploaded; try again') from error
        return here

    def _new_path(self, name: str) -> Path:
        """In a folder of its own, so that a browser takes no file for an earlier one."""
        return self.folder / str(next(self._numbers)) / name


class Sessions:
    """The open pages of a server, by Gradio's session hash.

    Args:
        folder: that everything lies in, also Gradio's uploads.
        networks: see :class:`Session`, as the others.
    """

    def __init__(
        self,
        folder: Path,
        networks: Mapping[str, nn.Module],
        max_pixels: int,
        device: str | None = None,
    ) -> None:
        self.folder, self.networks = folder, networks
        self._settings = networks, max_pixels, device
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, session_hash: str) -> Session:
        """That of an open page."""
        with self._lock:
            if session_hash not in self._open:
                folder = Path(tempfile.mkdtemp(prefix='session-', dir=self.folder))
                self._open[session_hash] = Session(folder, *self._settings)
            return self._open[session_hash]

    def end(self, session_hash: str) -> None:
        """Stop the work of a closed page, and remove its files."""
        with self._lock:
            session = self._open.pop(session_hash, None)
        if session is not None:
            session.stop()
            shutil.rmtree(session.folder, ignore_errors=True)

    def end_all(self) -> None:
        """As the server stops."""
        for session_hash in list(self._open):
            self.end(session_hash)


@contextlib.contextmanager
def as_uploaded(path: Path) -> Iterator[None]:
    """Within, messages name a file of a session as the user does."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from error


def displayable(image: ImageData) -> np.ndarray:
    """uint8 RGB, [H, W, 3], as a browser shows it on white."""
    rgb = as_8_bit_rgb(image.pixels)
    if image.alpha is None:
        return rgb
    alpha = image.alpha[..., None] / np.iinfo(image.alpha.dtype).max
    return (rgb * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
