"""Shared parts of the figures; the first figure imports matplotlib."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, *, dpi: int = 100) -> 'Figure':
    """Make an empty figure, sized in inches, without a display or pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout='constrained')


def render(figure: 'Figure') -> np.ndarray:
    """Render a figure as uint8 RGB, [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def show(
    axis: Any, image: np.ndarray, *, frame: str | None = None, interpolation: str = 'nearest'
) -> None:
    """Show an image without ticks, and in a frame if a colour is given."""
    axis.imshow(image, interpolation=interpolation)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set(visible=frame is not None, color=frame, linewidth=3)
