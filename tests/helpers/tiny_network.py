"""Tiny networks and images for the tests of upscaling."""

import json

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_data import smooth_noise

from csnln_mm.networks import build_network


def save_checkpoint(path, *, plain=False, **generator):
    """As a training run saves it; ``plain``: a network that upscales bicubically and no more."""
    generator = dict(
        dict(type='CSNLNNet', mid_channels=4, num_recurrences=1, image_skip=True), **generator
    )
    torch.manual_seed(0)
    network = build_network(generator)
    if plain:
        torch.nn.init.zeros_(network.reconstruct.weight)
        torch.nn.init.zeros_(network.reconstruct.bias)
    cfg = f"model = dict(type='CSNLNEditor', generator={generator!r})\n"
    weights = {f'generator.{key}': value for key, value in network.state_dict().items()}
    torch.save(dict(meta=dict(cfg=cfg), state_dict=weights), path)
    return path


def save_pretrained(path, scale, branches=('local',), **metadata):
    """As a model that comes with the package."""
    architecture = dict(
        mid_channels=4,
        num_recurrences=2,
        upscale_factor=scale,
        image_skip=True,
        cell=dict(branches=branches),
    )
    metadata = dict(
        architecture=json.dumps(architecture),
        scores=json.dumps({'Set5': [30.5, 0.9]}),
        license='Apache-2.0',
        training_data='photographs',
        training='10 steps',
        **metadata,
    )
    save_file(build_network(architecture).state_dict(), path, metadata=metadata)


def photograph(height=20, width=26, seed=3):
    """Smooth, so that bicubic results by different programs agree."""
    return cv2.GaussianBlur(smooth_noise(height, width, seed), (0, 0), 3)


def bicubic(image):
    return np.asarray(image.resize([2 * side for side in image.size], Image.Resampling.BICUBIC))


def close(a, b, tolerance=4):
    assert a.shape == b.shape and a.dtype == b.dtype
    assert np.abs(a.astype(int) - b.astype(int)).max() <= tolerance


def names(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob('*') if path.is_file())
