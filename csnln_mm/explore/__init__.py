"""The page in the browser: upscale an image, and see where its detail comes from.

Needs Gradio: ``pip install csnln-mm[explore]``.
"""

from csnln_mm.explore.server import Server

__all__ = ['Server']
