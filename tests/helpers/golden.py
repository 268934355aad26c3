"""Inputs, weights and outputs of the released model (tests/data), as numbers."""

from collections.abc import Iterator
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
        shapes = _shapes(file['keys'], file['shapes'])
        state_dict = released_weights(dict(sorted(shapes.items())), int(file['seed']))
        arrays = {
            name: torch.from_numpy(file[name])
            for name in file.files
            if file[name].dtype == np.float32
        }
    return Golden(arrays, state_dict)


class Trajectory(NamedTuple):
    """The first 20 training steps of the released code: where they start, and their losses."""

    losses: list[float]
    state_dict: dict[str, Tensor]
    batches: Iterator[tuple[Tensor, Tensor]]  # (LQ, GT), in 0..1


def load_trajectory(scale: int) -> Trajectory:
    with np.load(DATA / 'trajectories.npz', allow_pickle=False) as file:
        losses = file[f'losses_x{scale}'].tolist()
        shapes = _shapes(file[f'keys_x{scale}'], file[f'shapes_x{scale}'])
    random = np.random.RandomState(200 + scale)

    def rand(side: int) -> Tensor:
        return torch.from_numpy(random.rand(2, 3, side, side).astype(np.float32))

    # GT is drawn before LQ.
    batches = ((rand(12 * scale), rand(12))[::-1] for _ in losses)
    return Trajectory(losses, released_weights(shapes, 100 + scale), batches)


def _shapes(keys: np.ndarray, shapes: np.ndarray) -> dict[str, tuple]:
    return {
        str(key): tuple(int(side) for side in str(shape).strip('[]').split(','))
        for key, shape in zip(keys, shapes)
    }


def released_weights(shapes: dict[str, tuple], seed: int) -> dict[str, Tensor]:
    """Weights of the released code's names: noise of the right size, seeded, drawn in order."""
    random = np.random.RandomState(seed)
    weights = {}
    for key, shape in shapes.items():
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
