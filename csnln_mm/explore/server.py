"""The server of the page: who can reach it, which files it can read, and what it leaves behind."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import nn

from csnln_mm.errors import UserError
from csnln_mm.explore.session import Sessions
from csnln_mm.images.image_file import ImageData, write_image

MAX_PIXELS = 4_000_000
# Of an uploaded file: more than an image of the limit has, with 16 bits and four channels.
_MAX_BYTES_PER_PIXEL = 16
_MIN_UPLOAD = 64 * 2**20


class Server:
    """Serves the page until it is closed; a context manager.

    Uploads and results lie in one temporary folder, the only one that a browser can read files of.
    What a page brought goes when it is closed, the folder with the server. Nothing is asked of the
    network, and nothing told to it.

    Args:
        networks: by name; the first is chosen to begin with.
        examples: images to choose from, by the name of a PNG file.
        open_first: whether the page begins with the first of them.
        scale: that the page begins with; by default that of the first network.
        host: address to listen at; by default of this machine alone.
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
        port: int | None = None,
        max_pixels: int = MAX_PIXELS,
        device: str | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix='csnln-explore-')
        folder = Path(self._folder.name).resolve()
        # Read by Gradio as its components are made. Its folder of examples would be another one.
        os.environ['GRADIO_TEMP_DIR'] = str(folder)
        os.environ['GRADIO_EXAMPLES_CACHE'] = str(folder / 'examples')
        try:
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
        page = Page(self.sessions, examples=paths, open_first=open_first, scale=scale)
        self._blocks = page.blocks
        try:
            _, self.url, _ = self._blocks.launch(
                server_name=host,
                server_port=port,
                theme=theme(),
                css=CSS,
                max_file_size=max(_MIN_UPLOAD, _MAX_BYTES_PER_PIXEL * max_pixels),
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

    def __enter__(self) -> 'Server':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all work, end all pages, and remove the files."""
        self.sessions.end_all()
        self._blocks.close(verbose=False)
        self._folder.cleanup()
