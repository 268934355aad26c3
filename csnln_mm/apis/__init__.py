"""What a person asks for: train, test, upscale, look, report, measure."""
from importlib import import_module
from typing import Any

# Tools import this package before they know what they need: nothing is loaded until it is used.
_HOME = {
    'Upscaler': 'upscaling',
    'upscale': 'upscaling',
    'attention_figure': 'visualization',
    'compare_methods': 'visualization_comparison',
    'comparison_figure': 'visualization',
    'matches_figure': 'visualization',
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f'{__name__}.{_HOME[name]}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
