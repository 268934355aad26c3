"""The server of the page: its address, the files that it serves, and their removal."""

import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from csnln_mm import limits
from csnln_mm.errors import UserError
from csnln_mm.explore.session import Sessions
from csnln_mm.images.image_file import ImageData, write_image


class Server:
    """Serves the page until it is closed; a context manager.

    Uploads and results are stored in one temporary folder, the only one that a browser can read.
    The files of a page are removed when it is closed, uploads that no page opened after minutes,
    and the folder when the server closes. Other pages in the browser cannot use the server, see
    :class:`~csnln_mm.explore.guard.Guard`. It connects to no other machine.

    Args:
        networks: by name; the first is chosen to begin with.
        examples: images to choose from, by the name of a PNG file.
        open_first: whether the page begins with the first of them.
        scale: that the page begins with; by default that of the first network.
        host: address to listen at; by default of this machine alone.
        allow_hosts: names that browsers reach the server by, besides addresses, ``localhost`` and
            ``host``.
        port: to listen at; by default the first free one from 7860.
        max_pixels: of an image that is taken.
        device: see :class:`~csnln_mm.upscaling.Upscaler`.

    Attributes:
        url: of the page.
        sessions: the open pages.

    Raises:
        UserError: if Gradio is not installed, or the port is taken.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        *,
        examples: Mapping[str, ImageData | np.ndarray] | None = None,
        open_first: bool = False,
        scale: float | None = None,
        host: str = '127.0.0.1',
        allow_hosts: Sequence[str] = (),
        port: int | None = None,
        max_pixels: int = limits.PAGE_PIXELS,
        device: str | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix='csnln-explore-')
        folder = Path(self._folder.name).resolve()
        # Read by Gradio as its components are made. Its folder of examples would be another one.
        os.environ['GRADIO_TEMP_DIR'] = str(folder)
        os.environ['GRADIO_EXAMPLES_CACHE'] = str(folder / 'examples')
        try:
            from starlette.middleware import Middleware

            from csnln_mm.explore.guard import Guard
            from csnln_mm.explore.page import CSS, Page, theme
        except ImportError as error:
            raise UserError(
                f"the page needs Gradio 6 ({error}): pip install 'csnln-mm[explore]'"
            ) from error

        self.sessions = Sessions(folder, networks, max_pixels, device)
        paths = []
        for name, image in (examples or {}).items():
            paths.append(folder / 'examples' / name)
            write_image(paths[-1], image)
        guard = Middleware(Guard, sessions=self.sessions, host=host, allow_hosts=allow_hosts)
        page = Page(self.sessions, examples=paths, open_first=open_first, scale=scale)
        self._blocks = page.blocks
        try:
            _, self.url, _ = self._blocks.launch(
                server_name=host,
                server_port=port,
                theme=theme(),
                css=CSS,
                app_kwargs=dict(middleware=[guard]),
                max_file_size=self.sessions.max_upload,
                footer_links=[],
                share=False,
                run_history=False,
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                pwa=False,
                show_error=True,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise UserError(f'cannot listen at {host}, port {port}: it is taken') from error
        self.sessions.keep_what_is_there()
        self._closed = threading.Event()
        threading.Thread(target=self._sweep, daemon=True).start()

    def _sweep(self) -> None:
        while not self._closed.wait(limits.SWEEP):
            self.sessions.sweep()

    def __enter__(self) -> 'Server':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all work, end all pages, and remove the files."""
        self._closed.set()
        self.sessions.end_all()
        self._blocks.close(verbose=False)
        self._folder.cleanup()
