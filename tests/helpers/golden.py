"""Inputs, weights and outputs of the released model (tests/data), as numbers."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parents[1] / 'data'
RGB_MEAN = 0.4488, 0.4371, 0.4040


class Golden(NamedTuple):
    """One scale: arrays by name, and the released state dict that made them."""

    arrays: dict[str, Tensor]
    state_dict: dict[str, Tensor]


def load_golden(scale: int) -> Golden:
    with np.load(DATA / f'official_x{scale}.npz', allow_pickle=False) as file:
        shapes = {
            str(key): tuple(int(side) for side in str(shape).strip('[]').split(','))
            for key, shape in zip(file['keys'], file['shapes'])
        }
        state_dict = released_weights(shapes, int(file['seed']))
        arrays = {
            name: torch.from_numpy(file[name])
            for name in file.files
            if file[name].dtype == np.float32
        }
    return Golden(arrays, state_dict)


def released_weights(shapes: dict[str, tuple], seed: int) -> dict[str, Tensor]:
    """The weights that the golden outputs were computed with: seeded noise of the right size."""
    random = np.random.RandomState(seed)
    weights = {}
    for key in sorted(shapes):
        shape = shapes[key]
        if key.startswith(('sub_mean', 'add_mean')):
            sign = -1 if key.startswith('sub') else 1
            value = np.eye(3).reshape(3, 3, 1, 1) if len(shape) == 4 else sign * np.array(RGB_MEAN)
        elif key.endswith('escape_NaN'):
            value = np.array([1e-4])
        elif len(shape) == 4:
            value = random.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
        elif shape == (1,):
            value = np.array([0.25])
        else:
            value = 0.01 * random.standard_normal(shape)
        weights[key] = torch.from_numpy(value.astype(np.float32))
    return weights
