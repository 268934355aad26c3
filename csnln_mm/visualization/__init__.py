"""What the attention attends to, and how methods differ."""

from csnln_mm.visualization.attention import AttentionMaps, extract_attention
from csnln_mm.visualization.comparison import (
    Comparison,
    compare_methods,
    comparison_figure,
    comparison_table,
    largest_difference,
)
from csnln_mm.visualization.figures import attention_figure, matches_figure

__all__ = [
    'AttentionMaps',
    'Comparison',
    'attention_figure',
    'compare_methods',
    'comparison_figure',
    'comparison_table',
    'extract_attention',
    'largest_difference',
    'matches_figure',
]
