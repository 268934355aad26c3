"""What the attention looks at, and how methods differ."""

from csnln_mm.visualization.compare_methods import compare_methods
from csnln_mm.visualization.figures import attention_figure, comparison_figure, matches_figure

__all__ = ['attention_figure', 'compare_methods', 'comparison_figure', 'matches_figure']
