"""The published figures: complete, each once, each with its source."""

from collections import Counter

import pytest

from csnln_mm.images.metrics import Score
from csnln_mm.paper.published import (
    ABLATIONS,
    BENCHMARKS,
    SMALL,
    TABLE_1,
    TABLE_2,
    published,
    published_small,
    published_variant,
    read_facts,
)


def test_every_fact_is_there_once_and_has_a_source():
    facts = read_facts()
    assert all(fact.source and fact.scale in (2, 3, 4) for fact in facts)
    # The paper's Table 2 rounds its own parameters.
    counts = Counter((x.method, x.scale, x.fact) for x in facts if x.source != TABLE_2)
    assert set(counts.values()) == {1}


def test_table_1_is_complete():
    methods = {scale: [row.name for row in published(scale, TABLE_1)] for scale in (2, 3, 4)}
    assert len(methods[2]) == 12
    assert methods[4] == methods[2]
    assert methods[3] == [name for name in methods[2] if name != 'DBPN']
    for row in (row for scale in methods for row in published(scale, TABLE_1)):
        missing = [name for name in BENCHMARKS if name not in row.scores]
        assert missing == (['Manga109'] if row.name in ('NLRN', 'OISR') else [])
        for score in row.scores.values():
            assert 25 < score.psnr < 40 and 0.7 < score.ssim < 1
        assert row.parameters is None and row.multiply_adds is None
    csnln = {scale: published(scale, TABLE_1)[-1].scores for scale in methods}
    assert csnln[2]['Set5'] == Score(38.28, 0.9616)
    assert csnln[3]['B100'] == Score(29.33, 0.8105)
    assert csnln[4]['Manga109'] == Score(31.43, 0.9201)


def test_table_2_is_complete():
    sizes = {row.name: row.parameters / 1e6 for row in published(2, TABLE_2)}
    assert sizes == dict(EDSR=43, DBPN=10, RDN=22.3, RCAN=16, SAN=15.7, CSNLN=3)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_small_models_have_the_sets_that_the_package_is_measured_on(scale):
    rows = published_small(scale)
    assert {row.name for row in rows} == set(SMALL) - ({'FSRCNN'} if scale == 3 else set())
    assert [row.scores['Set5'].psnr for row in rows] == sorted(r.scores['Set5'].psnr for r in rows)
    assert all({'Set5', 'Set14', 'B100'} <= row.scores.keys() for row in rows)


def test_lapsrn_is_the_same_everywhere():
    """The paper misprints 31.80 as 31.08."""
    rows = published_small(2) + published(2, TABLE_1)
    figures = [row.scores['B100'] for row in rows if row.name == 'LapSRN']
    assert figures == [Score(31.80, 0.8950)] * 2


def test_every_variant_of_the_ablations_has_a_figure():
    assert [len(ABLATIONS[table].variants) for table in (3, 4, 5)] == [8, 3, 3]
    figures = {name: published_variant(name) for x in ABLATIONS.values() for name in x.variants}
    assert max(figures, key=figures.get) == 'branches_all' and figures['branches_all'] == 33.74
    assert figures['branches_none'] == 33.32 and len(figures) == 12
