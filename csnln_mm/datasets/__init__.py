"""Preparing, checking and loading images."""

from importlib.util import find_spec
from typing import Any

if find_spec('mmagic'):
    from mmagic.registry import DATASETS

    @DATASETS.register_module(name='ImagePairDataset')
    def _build_image_pair_dataset(**kwargs: Any) -> Any:
        """Its base class costs an import of all data sets of MMagic, which only a config pays."""
        from csnln_mm.mmagic.dataset import ImagePairDataset

        return ImagePairDataset(**kwargs)
