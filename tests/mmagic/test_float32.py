"""numpy 2 makes MMagic's noise float64; what Real-ESRGAN trains on must not be."""

import cv2
import numpy as np
import torch
from mmengine.config import Config


def test_real_esrgan_degradations_give_what_the_network_takes(tmp_path):
    import random

    from mmagic.registry import MODELS, TRANSFORMS
    from mmagic.utils import register_all_modules

    from csnln_mm import config_path

    register_all_modules()
    config = Config.fromfile(config_path('mixing/realesrgan_csnln_x4.py'))
    path = str(tmp_path / 'photograph.png')
    cv2.imwrite(path, np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8))
    pipeline = [TRANSFORMS.build(step) for step in config.train_dataloader.dataset.pipeline]
    preprocessor = MODELS.build(config.model.data_preprocessor)
    for seed in range(4):
        np.random.seed(seed)
        random.seed(seed)
        results = {'img_path': path, 'gt_path': path, 'key': 'photograph'}
        for transform in pipeline:
            results = transform(results)
        batch = preprocessor(
            {'inputs': [results['inputs']], 'data_samples': [results['data_samples']]}, True
        )
        assert batch['inputs'].dtype == batch['data_samples'].gt_img.dtype == torch.float32
