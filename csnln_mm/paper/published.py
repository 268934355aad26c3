"""Published figures, from ``published.tsv``."""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from csnln_mm.images.metrics import Score
from csnln_mm.paper.results import Result

BENCHMARKS = ('Set5', 'Set14', 'B100', 'Urban100', 'Manga109')
# Reference points for the cost and the gain of a small model.
SMALL = ('SRCNN', 'FSRCNN', 'LapSRN', 'VDSR', 'DRRN', 'CARN', 'CSNLN')
TABLE_1 = 'CSNLN, Table 1'
TABLE_2 = 'CSNLN, Table 2'


class Fact(NamedTuple):
    """A line of the file.

    Attributes:
        method: name of the method.
        scale: 2, 3 or 4.
        fact: a test set, 'parameters' or 'multiply-adds'.
        value: 'PSNR / SSIM', PSNR alone, or an integer.
        source: the publication.
    """

    method: str
    scale: int
    fact: str
    value: str
    source: str


@cache
def read_facts() -> tuple[Fact, ...]:
    """Read all lines of the file, in order."""
    with open(Path(__file__).with_name('published.tsv'), encoding='utf-8', newline='') as file:
        lines = (line for line in file if not line.startswith('#'))
        return tuple(
            Fact(**dict(row, scale=int(row['scale'])))
            for row in csv.DictReader(lines, dialect='excel-tab')
        )


def published(scale: int, source: str = '') -> list[Result]:
    """Collect the published results of each method at a scale.

    Args:
        scale: 2, 3 or 4.
        source: how the sources of facts begin.
    """
    rows: dict[str, Result] = {}
    for method, at, fact, value, by in read_facts():
        if at != scale or not by.startswith(source):
            continue
        row = rows.setdefault(method, Result(method, {}))
        if fact in ('parameters', 'multiply-adds'):
            rows[method] = row._replace(**{fact.replace('-', '_'): int(value)})
        elif '/' in value:
            row.scores[fact] = Score(*map(float, value.split('/')))
    return list(rows.values())


def published_small(scale: int) -> list[Result]:
    """Collect small models at a scale, and CSNLN, sorted by PSNR on Set5."""
    # CSNLN's Table 2 has rounded parameters, of larger networks.
    rows = [row for row in published(scale) if row.name in SMALL]
    return sorted(rows, key=lambda row: row.scores['Set5'].psnr)


class Ablation(NamedTuple):
    """Table 3, 4 or 5: its title, and the titles of its variants by name of config."""

    title: str
    variants: dict[str, str]


ABLATIONS = {
    3: Ablation(
        'branches of the cell',
        dict(
            branches_none='none',
            branches_local='local',
            branches_in_scale='in-scale',
            branches_cross_scale='cross-scale',
            branches_local_in_scale='local + in-scale',
            branches_local_cross_scale='local + cross-scale',
            branches_in_scale_cross_scale='in-scale + cross-scale',
            branches_all='all three',
        ),
    ),
    4: Ablation(
        'patch size of cross-scale attention',
        dict(patch_1='1x1', branches_all='3x3', patch_5='5x5'),
    ),
    5: Ablation(
        'fusion of the branches',
        dict(
            fusion_addition='addition',
            fusion_concatenation='concatenation',
            branches_all='mutual projection',
        ),
    ),
}


def published_variant(config: str) -> float:
    """The published PSNR of a variant on Set14 at x2, in dB."""
    return next(float(fact.value) for fact in read_facts() if fact.method == config)
