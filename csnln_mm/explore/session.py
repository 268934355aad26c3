"""The state of each open page on the server, removed when the page is closed.

Gradio's own State keeps the state of a closed page for an hour, and its ``delete_cache`` deletes
files by their age, even those that an open page shows.
"""

import contextlib
import itertools
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from csnln_mm import limits
from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData, as_8_bit_rgb, read_image, write_image
from csnln_mm.images.trial import check_decoding
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization.attention import AttentionRecord


class Stopped(Exception):
    """The work was stopped, or its page closed."""


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
        used: when the page last asked for something, in seconds of ``time.monotonic``.
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
        self.used = time.monotonic()
        self._uploads: list[tuple[Path, Path]] = []
        self._stops: set[threading.Event] = set()
        self._numbers = itertools.count()

    def take_image(self, path: Path, *, keep: bool = False) -> None:
        """Read an uploaded image, or one of the server's (``keep``).

        Raises:
            UserError: if it is no image, has too many pixels, or takes too long to decode.
        """
        self.forget_image()
        here = self._take(path, keep)
        try:
            with as_uploaded(here):
                check_decoding(here, self.max_pixels)
                self.image = read_image(here)
        except UserError:
            self._remove_files()
            raise
        self.path = here

    def forget_image(self) -> None:
        """Stop the work on the image, and remove it with all results."""
        self.stop()
        self._remove_files()
        self.image = self.path = None
        self.forget_attention()

    def forget_attention(self) -> None:
        """Forget the records, which another image or network makes useless."""
        self.records.clear()
        self.points.clear()

    def take_checkpoint(self, path: Path) -> str:
        """Load an uploaded checkpoint, and remove its file.

        Returns:
            The name of its network.

        Raises:
            UserError: if it is none.
        """
        here = self._take(path)
        try:
            with as_uploaded(here):
                self.networks[path.stem] = load_network(here)
        finally:
            self._release(path, here)
        return path.stem

    def require_image(self) -> ImageData:
        """The image on the page.

        Raises:
            UserError: if there is none.
        """
        if self.image is None:
            raise UserError('there is no image yet: drop one at the top of the page')
        return self.image

    def require_pixel(self, x: float | None, y: float | None) -> tuple[int, int]:
        """The pixel at (x, y), as the fields of the page give them.

        Raises:
            UserError: if there is no image, or no such pixel in it.
        """
        image = self.require_image()
        if x is None or y is None:
            raise UserError('click on the image, or give x and y')
        width, height = image.size
        if not (0 <= x < width and 0 <= y < height):  # also what is not a number
            raise UserError(
                f'there is no such pixel: x is from 0 to {width - 1}, y from 0 to {height - 1}'
            )
        return int(x), int(y)

    def upscaler(self, name: str, **options: Any) -> Upscaler:
        """Build an :class:`~csnln_mm.upscaling.Upscaler` of a network, with its options.

        Raises:
            UserError: if the page has no such network.
        """
        if name not in self.networks:
            raise UserError('choose a checkpoint')
        return Upscaler(self.networks[name], device=self.device, **options)

    def record_attention(self, slot: str, name: str, window: int, pixel: tuple[int, int]) -> None:
        """Run the network, unless there is a record of the same input."""
        for record, made_of in list(self.records.values()):
            if made_of[:2] == (name, window) and (record.is_whole or made_of[2] == pixel):
                break
        else:
            record = AttentionRecord(self.upscaler(name, tile=0), self.image, pixel, window=window)
            made_of = name, window, pixel
        self.records[slot] = record, made_of
        self.points[slot] = pixel

    def write(self, image: ImageData | np.ndarray, name: str = 'image.png', **options: str) -> str:
        """Write a file of this session, and return its path.

        Raises:
            Stopped: if the page was closed.
        """
        if not self.folder.exists():
            raise Stopped
        path = self._new_path(name)
        write_image(path, image, **options)
        return str(path)

    def work(self) -> Callable[[], None]:
        """Begin some work, and return a function to call now and then: it raises Stopped."""
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

    def end(self) -> None:
        """Stop all work, and remove all files."""
        self.stop()
        self._remove_files()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, path: Path, keep: bool = False) -> Path:
        """A link of this session's own: Gradio has one file for equal uploads of several pages."""
        here = self._new_path(path.name)
        here.parent.mkdir()
        try:
            os.link(path, here)
        except FileNotFoundError as error:
            raise UserError(f'{path.name} is no longer there; upload it again') from error
        if not keep:
            self._uploads.append((path, here))
        return here

    def _remove_files(self) -> None:
        while self._uploads:
            self._release(*self._uploads.pop())
        for folder in self.folder.glob('*'):
            shutil.rmtree(folder, ignore_errors=True)

    def _release(self, upload: Path, here: Path) -> None:
        """Remove an upload, unless another page has taken it, or brought it again."""
        with contextlib.suppress(FileNotFoundError):
            if upload.samefile(here) and here.stat().st_nlink == 2:
                upload.unlink()
        here.unlink(missing_ok=True)

    def _new_path(self, name: str) -> Path:
        """In a folder of its own, so that a browser takes no file for an earlier one."""
        return self.folder / str(next(self._numbers)) / name


class Sessions:
    """The open pages of a server, by Gradio's session hash.

    Args:
        folder: that everything lies in, also Gradio's uploads.
        networks: see :class:`Session`, as the others.

    Attributes:
        max_upload: bytes of a request that brings files.
        max_stored: bytes of all uploads and results together.
    """

    def __init__(
        self,
        folder: Path,
        networks: Mapping[str, nn.Module],
        max_pixels: int = limits.PAGE_PIXELS,
        device: str | None = None,
    ) -> None:
        self.folder, self.networks = folder, networks
        self.max_upload = limits.max_upload(max_pixels)
        self.max_stored = limits.STORED_UPLOADS * self.max_upload
        self._settings = networks, max_pixels, device
        self._open: dict[str, Session] = {}
        self._heartbeats: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._own: set[Path] = set()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, session_hash: str) -> Session:
        """The session of an open page.

        Raises:
            UserError: if too many pages are open.
        """
        with self._lock:
            if session_hash not in self._open:
                if len(self._open) >= limits.MAX_SESSIONS:
                    raise UserError(f'{limits.MAX_SESSIONS} pages are open; try again later')
                folder = Path(tempfile.mkdtemp(prefix='session-', dir=self.folder))
                self._open[session_hash] = Session(folder, *self._settings)
            session = self._open[session_hash]
            session.used = time.monotonic()
            return session

    def end(self, session_hash: str) -> None:
        """Stop the work of a closed page, and remove its files."""
        with self._lock:
            session = self._open.pop(session_hash, None)
        if session is not None:
            session.end()

    def end_all(self) -> None:
        """End all sessions, as the server stops."""
        for session_hash in list(self._open):
            self.end(session_hash)

    @contextlib.contextmanager
    def heartbeat(self, session_hash: str) -> Iterator[None]:
        """Within, the page is open; its session ends with it."""
        self._heartbeats[session_hash] += 1
        try:
            yield
        finally:
            self._heartbeats[session_hash] -= 1
            if not self._heartbeats[session_hash]:
                del self._heartbeats[session_hash]
                self.end(session_hash)

    def stored(self) -> int:
        """Bytes of all files on disk."""
        total = 0
        for path in self.folder.rglob('*'):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size / max(1, path.stat().st_nlink)
        return round(total)

    def keep_what_is_there(self) -> None:
        """Keep the files that exist now, which are the page's own, until the server closes."""
        self._own = set(self.folder.iterdir())

    def sweep(self) -> None:
        """End sessions whose page shows no sign of life, and remove uploads that no page opened."""
        now = time.monotonic()
        for session_hash, session in list(self._open.items()):
            if session_hash not in self._heartbeats and now - session.used > limits.SILENT:
                self.end(session_hash)
        for path in self.folder.iterdir():
            if path in self._own or path.name.startswith('session-'):
                continue
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > limits.UNOPENED:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def as_uploaded(path: Path) -> Iterator[None]:
    """Within, errors name a file of a session as the user does."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from error


def displayable(image: ImageData) -> np.ndarray:
    """Put an image on white, as a browser shows it: uint8 RGB, [H, W, 3]."""
    rgb = as_8_bit_rgb(image)
    if image.alpha is None:
        return rgb
    alpha = image.alpha[..., None] / np.iinfo(image.alpha.dtype).max
    return (rgb * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
