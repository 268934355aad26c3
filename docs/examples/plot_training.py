"""Plot how the models of the package were trained: PSNR on Set5 over CPU time.

usage: python plot_training.py models_training.tsv FIGURE.png
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure


def main(source: str, target: str) -> None:
    legs = defaultdict(lambda: defaultdict(list))
    with Path(source).open(newline='') as file:
        for row in csv.DictReader(file, delimiter='\t'):
            point = float(row['cpu_minutes']) / 60, float(row['set5_psnr'])
            legs[row['model']][int(row['leg'])].append(point)
    models = [model for model in legs if model.endswith('-fast')]
    figure = Figure(figsize=(11, 3.4), layout='constrained')
    for axis, model in zip(figure.subplots(1, len(models)), models):
        start = 0.0
        for leg, points in legs[model].items():
            hours, psnr = zip(*points)
            axis.plot([start + x for x in hours], psnr, marker='.', label=f'leg {leg}')
            start += hours[-1]
        axis.set(title=model, xlabel='CPU hours', ylabel='PSNR on Set5 (dB)')
        axis.grid(alpha=0.3)
        axis.legend(loc='lower right')
    figure.savefig(target, dpi=110)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
