"""What all figures share; matplotlib is imported when the first one is drawn."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOX_COLOURS = (
    '#ff3b30',
    '#ffcc00',
    '#34c759',
    '#ff2d95',
    '#5e9bff',
    '#ff9500',
    '#bf5af2',
    '#8aff80',
)


def new_figure(width: float, height: float, *, dpi: int = 100) -> 'Figure':
    """An empty figure of a size in inches, without a display or pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout='constrained')


def render(figure: 'Figure') -> np.ndarray:
    """Draw a figure: uint8 RGB, [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def show(
    axis: Any, image: np.ndarray, *, frame: str | None = None, interpolation: str = 'nearest'
) -> None:
    """Show an image without ticks, with a frame of a colour or none."""
    axis.imshow(image, interpolation=interpolation)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set(visible=frame is not None, color=frame, linewidth=3)


def draw_box(axis: Any, x: float, y: float, width: float, height: float, colour: str) -> None:
    """Outline a box in pixels of the image that an axis shows."""
    from matplotlib.patches import Rectangle

    axis.add_patch(
        Rectangle(
            (x - 0.5, y - 0.5),
            width,
            height,
            fill=False,
            edgecolor=colour,
            linewidth=2.2,
            path_effects=outline(4.0),
        )
    )


def outline(width: float = 3.0) -> list:
    """A black outline that keeps lines and text legible on any image."""
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=width, foreground='black'), Normal()]
