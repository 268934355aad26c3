"""Show what attention attends to, what a result depends on, and how methods differ."""

from csnln_mm.visualization.attention import AttentionMaps, AttentionRecord, extract_attention
from csnln_mm.visualization.attribution import (
    Attribution,
    PixelAttribution,
    diffusion_index,
    extract_attribution,
    local_attribution,
)
from csnln_mm.visualization.comparison import (
    Comparison,
    compare_methods,
    comparison_figure,
    comparison_table,
    largest_difference,
)
from csnln_mm.visualization.figures import attention_figure, attribution_figure, matches_figure

__all__ = [
    'AttentionMaps',
    'AttentionRecord',
    'Attribution',
    'Comparison',
    'PixelAttribution',
    'attention_figure',
    'attribution_figure',
    'compare_methods',
    'comparison_figure',
    'comparison_table',
    'diffusion_index',
    'extract_attention',
    'extract_attribution',
    'largest_difference',
    'local_attribution',
    'matches_figure',
]
