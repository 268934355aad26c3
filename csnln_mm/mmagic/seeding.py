"""Random numbers as a function of where a training stands, not of what ran before."""

import random

import numpy as np
import torch

__all__ = ['FOR_SAMPLES', 'FOR_STEPS', 'derive_seed', 'seed_all']

# What the numbers are for: the first of a place, so that no two uses share a seed.
FOR_SAMPLES, FOR_STEPS = range(2)


def derive_seed(seed: int, *place: int) -> int:
    """A seed of 32 bits.

    Args:
        seed: of the training, at least 0.
        place: numbers of at least 0. Different places give unrelated seeds.
    """
    return int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed the generators of Python, numpy and torch, of all devices, in this process.

    Args:
        seed: of 32 bits.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
