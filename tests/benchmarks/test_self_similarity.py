"""The ranking of images by detail that recurs in themselves at another scale."""

import numpy as np
import pytest
import torch
from self_similarity import gain, known_and_wanted, predict, rank

from csnln_mm.checkpoints import load_network
from csnln_mm.images import write_image


def rings(side, frequency):
    """Rings that become narrower in proportion to the distance: each recurs at half the size."""
    y, x = np.mgrid[1 : side + 1, 1 : side + 1]
    wave = 127 * np.sign(np.sin(frequency * np.log(x * x + 2 * y * y))) + 128
    return np.repeat(wave[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    random = np.random.RandomState(0)
    for i in range(3):
        write_image(tmp_path / f'noise{i}.png', random.randint(0, 256, (96, 96, 3), np.uint8))
    write_image(tmp_path / 'rings.png', rings(96, 9))
    return tmp_path


def test_what_recurs_in_an_image_comes_first(folder):
    rows = {path.stem: row for *row, path in rank(sorted(folder.iterdir()))}
    score, own, others, random, energy = rows.pop('rings')
    assert own > 1 > others + 0.5 and abs(score - (own - others)) < 1e-9
    assert random < 0.1 and energy > 10
    assert all(row[0] < score / 4 for row in rows.values())


def test_the_gain_is_that_of_the_best_strength():
    wanted = torch.randn(50, 36, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(50, 36, generator=torch.Generator().manual_seed(1))
    predicted = 3 * (wanted + noise)
    strengths = torch.linspace(0, 1, 10_001)
    errors = torch.stack([(wanted - s * predicted).square().sum() for s in strengths])
    best = 10 * (wanted.square().sum() / errors.min()).log10()
    assert gain(wanted, predicted) == pytest.approx(best.item(), abs=1e-3)
    assert gain(wanted, -predicted) == 0


def test_candidates_are_of_the_reduced_image_and_queries_of_the_image(folder):
    known, wanted = known_and_wanted(folder / 'rings.png')
    assert known.patches.shape == ((24 - 4) ** 2, 25) and known.residuals.shape[1] == 36
    assert wanted.patches.shape == ((48 - 4) ** 2, 25)
    assert len(known.residuals) == len(known.patches) and len(wanted.residuals) == 44**2
    exact = predict(known.at(torch.arange(3)), known.at(torch.arange(3).repeat(4)))
    torch.testing.assert_close(exact, known.residuals[:3])


def test_of_what_a_model_leaves_less_recurs(folder):
    network, paths = load_network('csnln-x2-fast'), sorted(folder.iterdir())
    left, alone = ({row[-1].stem: row for row in rank(paths, n)}['rings'] for n in (network, None))
    assert left[4] < alone[4]  # less is to be found
    assert left[1] < 0.1 < alone[1]  # and not in the image itself
