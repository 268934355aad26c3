"""A folder of custom nodes for ComfyUI, to be copied or linked into its ``custom_nodes``.

It adds no node: ComfyUI's own "Load Upscale Model" and "Upscale Image (using Model)" take CSNLN,
from ``models/upscale_models``, once this folder is there. The progress bar of the latter moves with
the tiles that a network cuts the image into, and cancelling works between a network's layers.
"""

from csnln_mm.integrations.spandrel import register

NODE_CLASS_MAPPINGS: dict[str, type] = {}


def show_tile(done: int, total: int) -> None:
    """Move the progress bar of the node at work."""
    from comfy.utils import ProgressBar

    ProgressBar(total).update_absolute(done)


def check_cancelled() -> None:
    """Raise ComfyUI's exception if the running node was cancelled."""
    from comfy.model_management import throw_exception_if_processing_interrupted

    throw_exception_if_processing_interrupted()


register(on_tile=show_tile, check=check_cancelled)
