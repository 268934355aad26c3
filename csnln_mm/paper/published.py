"""The tables of the paper as data."""

from typing import NamedTuple

from csnln_mm.images.metrics import Score

BENCHMARKS = ('Set5', 'Set14', 'B100', 'Urban100', 'Manga109')


class Table1Row(NamedTuple):
    """A method at a scale; None where the paper has no number."""

    method: str
    scale: int
    scores: dict[str, Score | None]


def _read_scores(figures: list[str]) -> dict[str, Score | None]:
    """PSNR and SSIM in turn, '-' where there is none, by benchmark."""
    pairs = zip(BENCHMARKS, figures[::2], figures[1::2])
    return {
        name: None if psnr == '-' else Score(float(psnr), float(ssim)) for name, psnr, ssim in pairs
    }


def _read_table_1(text: str) -> tuple[Table1Row, ...]:
    lines = (line.split() for line in text.splitlines())
    return tuple(Table1Row(name, int(scale), _read_scores(rest)) for name, scale, *rest in lines)


# Method, scale, and PSNR and SSIM on each benchmark; methods without x3 are not in that part.
TABLE_1 = _read_table_1("""\
LapSRN  2   37.52  0.9591   33.08  0.9130   31.08  0.8950   30.41  0.9101   37.27  0.9740
MemNet  2   37.78  0.9597   33.28  0.9142   32.08  0.8978   31.31  0.9195   37.72  0.9740
EDSR    2   38.11  0.9602   33.92  0.9195   32.32  0.9013   32.93  0.9351   39.10  0.9773
SRMDNF  2   37.79  0.9601   33.32  0.9159   32.05  0.8985   31.33  0.9204   38.07  0.9761
DBPN    2   38.09  0.9600   33.85  0.9190   32.27  0.9000   32.55  0.9324   38.89  0.9775
RDN     2   38.24  0.9614   34.01  0.9212   32.34  0.9017   32.89  0.9353   39.18  0.9780
RCAN    2   38.27  0.9614   34.12  0.9216   32.41  0.9027   33.34  0.9384   39.44  0.9786
NLRN    2   38.00  0.9603   33.46  0.9159   32.19  0.8992   31.81  0.9249       -       -
SRFBN   2   38.11  0.9609   33.82  0.9196   32.29  0.9010   32.62  0.9328   39.08  0.9779
OISR    2   38.21  0.9612   33.94  0.9206   32.36  0.9019   33.03  0.9365       -       -
SAN     2   38.31  0.9620   34.07  0.9213   32.42  0.9028   33.10  0.9370   39.32  0.9792
CSNLN   2   38.28  0.9616   34.12  0.9223   32.40  0.9024   33.25  0.9386   39.37  0.9785
LapSRN  3   33.82  0.9227   29.87  0.8320   28.82  0.7980   27.07  0.8280   32.21  0.9350
MemNet  3   34.09  0.9248   30.00  0.8350   28.96  0.8001   27.56  0.8376   32.51  0.9369
EDSR    3   34.65  0.9280   30.52  0.8462   29.25  0.8093   28.80  0.8653   34.17  0.9476
SRMDNF  3   34.12  0.9254   30.04  0.8382   28.97  0.8025   27.57  0.8398   33.00  0.9403
RDN     3   34.71  0.9296   30.57  0.8468   29.26  0.8093   28.80  0.8653   34.13  0.9484
RCAN    3   34.74  0.9299   30.65  0.8482   29.32  0.8111   29.09  0.8702   34.44  0.9499
NLRN    3   34.27  0.9266   30.16  0.8374   29.06  0.8026   27.93  0.8453       -       -
SRFBN   3   34.70  0.9292   30.51  0.8461   29.24  0.8084   28.73  0.8641   34.18  0.9481
OISR    3   34.72  0.9297   30.57  0.8470   29.29  0.8103   28.95  0.8680       -       -
SAN     3   34.75  0.9300   30.59  0.8476   29.33  0.8112   28.93  0.8671   34.30  0.9494
CSNLN   3   34.74  0.9300   30.66  0.8482   29.33  0.8105   29.13  0.8712   34.45  0.9502
LapSRN  4   31.54  0.8850   28.19  0.7720   27.32  0.7270   25.21  0.7560   29.09  0.8900
MemNet  4   31.74  0.8893   28.26  0.7723   27.40  0.7281   25.50  0.7630   29.42  0.8942
EDSR    4   32.46  0.8968   28.80  0.7876   27.71  0.7420   26.64  0.8033   31.02  0.9148
SRMDNF  4   31.96  0.8925   28.35  0.7787   27.49  0.7337   25.68  0.7731   30.09  0.9024
DBPN    4   32.47  0.8980   28.82  0.7860   27.72  0.7400   26.38  0.7946   30.91  0.9137
RDN     4   32.47  0.8990   28.81  0.7871   27.72  0.7419   26.61  0.8028   31.00  0.9151
RCAN    4   32.63  0.9002   28.87  0.7889   27.77  0.7436   26.82  0.8087   31.22  0.9173
NLRN    4   31.92  0.8916   28.36  0.7745   27.48  0.7306   25.79  0.7729       -       -
SRFBN   4   32.47  0.8983   28.81  0.7868   27.72  0.7409   26.60  0.8015   31.15  0.9160
OISR    4   32.53  0.8992   28.86  0.7878   27.75  0.7428   26.79  0.8068       -       -
SAN     4   32.64  0.9003   28.92  0.7888   27.78  0.7436   26.79  0.8068   31.18  0.9169
CSNLN   4   32.68  0.9004   28.95  0.7888   27.80  0.7439   27.22  0.8168   31.43  0.9201""")


class CompactRow(NamedTuple):
    """A small model as published; None where no number was found.

    Attributes:
        method: its name.
        scale: 2, 3 or 4.
        parameters: how many.
        multiply_adds: for a result of 1280x720 pixels.
        scores: PSNR and SSIM on Y, by test set.
    """

    method: str
    scale: int
    parameters: int | None
    multiply_adds: int | None
    scores: dict[str, Score]


def _read_compact(text: str) -> tuple[CompactRow, ...]:
    def count(figure: str, unit: float) -> int | None:
        return None if figure == '-' else round(unit * float(figure))

    lines = (line.split() for line in text.splitlines())
    return tuple(
        CompactRow(name, int(scale), count(size, 1e3), count(adds, 1e9), _read_scores(rest))
        for name, scale, size, adds, *rest in lines
    )


# Method, scale, thousands of parameters, 10^9 multiply-adds, and PSNR and SSIM on Set5, Set14 and
# B100: of LapSRN and CSNLN as the paper has them, of CARN as SwinIR's Table 2 quotes them
# (arXiv 2108.10257), of the others as later implementations quote them. The parameters of CSNLN are
# those of this package's. For LapSRN on B100 at x2 the paper has 31.08, a misprint of 31.80.
COMPACT = _read_compact("""\
SRCNN   2    57    52.7  36.66  0.9542   32.42  0.9063   31.36  0.8879
FSRCNN  2    12     6.0  37.00  0.9558   32.63  0.9088   31.53  0.8920
LapSRN  2     -       -  37.52  0.9591   33.08  0.9130   31.80  0.8950
VDSR    2   666   612.6  37.53  0.9587   33.03  0.9124   31.90  0.8960
DRRN    2   297  6796.9  37.74  0.9591   33.23  0.9136   32.05  0.8973
CARN    2  1592   222.8  37.76  0.9590   33.52  0.9166   32.09  0.8978
CSNLN   2  3061       -  38.28  0.9616   34.12  0.9223   32.40  0.9024
SRCNN   3    57    52.7  32.75  0.9090   29.29  0.8215   28.41  0.7863
LapSRN  3     -       -  33.82  0.9227   29.87  0.8320   28.82  0.7980
VDSR    3   666   612.6  33.66  0.9213   29.77  0.8314   28.82  0.7976
DRRN    3   297  6796.9  34.03  0.9244   29.96  0.8349   28.95  0.8004
CARN    3  1592   118.8  34.29  0.9255   30.29  0.8407   29.06  0.8034
CSNLN   3  6010       -  34.74  0.9300   30.66  0.8482   29.33  0.8105
SRCNN   4    57    52.7  30.48  0.8628   27.50  0.7513   26.90  0.7101
FSRCNN  4    12       -  30.72  0.8660   27.61  0.7550   26.98  0.7150
LapSRN  4   813   149.4  31.54  0.8850   28.19  0.7720   27.32  0.7270
VDSR    4   666   612.6  31.35  0.8838   28.01  0.7674   27.29  0.7251
DRRN    4   297  6796.9  31.68  0.8888   28.21  0.7720   27.38  0.7284
CARN    4  1592    90.9  32.13  0.8937   28.60  0.7806   27.58  0.7349
CSNLN   4  6569       -  32.68  0.9004   28.95  0.7888   27.80  0.7439""")


class SizeRow(NamedTuple):
    """A model's parameters in millions, and its PSNR on Set5 at x2 in dB."""

    method: str
    parameters: float
    psnr: float


TABLE_2 = (
    SizeRow('EDSR', 43, 38.11),
    SizeRow('DBPN', 10, 38.09),
    SizeRow('RDN', 22.3, 38.24),
    SizeRow('RCAN', 16, 38.27),
    SizeRow('SAN', 15.7, 38.31),
    SizeRow('CSNLN', 3, 38.28),
)


class Variant(NamedTuple):
    """A column of an ablation table: its config in configs/ablation, and PSNR on Set14 at x2."""

    title: str
    config: str
    psnr: float


class AblationTable(NamedTuple):
    """Table 3, 4 or 5."""

    title: str
    variants: tuple[Variant, ...]


ABLATIONS = {
    3: AblationTable(
        'branches of the cell',
        (
            Variant('none', 'branches_none', 33.32),
            Variant('local', 'branches_local', 33.47),
            Variant('in-scale', 'branches_in_scale', 33.52),
            Variant('cross-scale', 'branches_cross_scale', 33.51),
            Variant('local + in-scale', 'branches_local_in_scale', 33.62),
            Variant('local + cross-scale', 'branches_local_cross_scale', 33.64),
            Variant('in-scale + cross-scale', 'branches_in_scale_cross_scale', 33.57),
            Variant('all three', 'branches_all', 33.74),
        ),
    ),
    4: AblationTable(
        'patch size of cross-scale attention',
        (
            Variant('1x1', 'patch_1', 33.67),
            Variant('3x3', 'branches_all', 33.74),
            Variant('5x5', 'patch_5', 33.61),
        ),
    ),
    5: AblationTable(
        'fusion of the branches',
        (
            Variant('addition', 'fusion_addition', 33.69),
            Variant('concatenation', 'fusion_concatenation', 33.62),
            Variant('mutual projection', 'branches_all', 33.74),
        ),
    ),
}
