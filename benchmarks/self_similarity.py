"""Rank images by how much of their detail recurs in themselves, across scales.

    python benchmarks/self_similarity.py FOLDER [FOLDER ...] > ranking.tsv
    python benchmarks/self_similarity.py FOLDER --model csnln-x2-fast

What cross-scale attention can add to a network that has learnt from other images is detail that
the same image shows elsewhere at twice the size. The measure imitates that look-up at x2, on Y:

1. HR is reduced to LR, and LR to LR/2. Detail is the residual of bicubic interpolation: HR minus
   LR upscaled, which is to be found, and LR minus LR/2 upscaled, which is known. With ``--model``
   it is the residual of that model for x2: what a network that has learnt already leaves.
2. Each of 2,048 patches of LR (5x5 pixels, without its mean) is compared with all patches of LR/2.
   The mean residual of its 4 nearest (Euclidean distance), at LR, predicts that of the 6x6 HR
   pixels in its middle.
3. ``own``: by how many dB the squared error of bicubic, or of the model, falls with the
   predictions added, at the best strength for the image. ``others``: the same with as many
   patches of the folder's other images to choose from, which stands for what a network can
   learn. ``random``: the same with patches of the image taken at random.

Images are sorted by ``score`` = own - others: positive where the image itself is the better
source. ``energy`` is the root mean square of the residual, in levels of 0..255: of a smooth image
little is to be found. Queries, bank and random patches are drawn with a fixed seed.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor

from csnln_mm.checkpoints import load_network
from csnln_mm.images.degradation import mod_crop
from csnln_mm.images.image_file import list_images, read_rgb
from csnln_mm.images.metrics import to_luma
from csnln_mm.networks import CSNLNNet
from csnln_mm.ops.imresize import imresize

_PATCH, _CENTRE, _NEAREST, _QUERIES = 5, 3, 4, 2048


class Patches(NamedTuple):
    """Patches without their means, [N, 25], and residuals at twice the size, [N, 36]."""

    patches: Tensor
    residuals: Tensor

    def at(self, rows: Tensor) -> 'Patches':
        return Patches(self.patches[rows], self.residuals[rows])


def known_and_wanted(path: Path, network: CSNLNNet | None = None) -> tuple[Patches, Patches]:
    """An image's candidates, from LR/2 and LR, and its queries, from LR and HR."""
    image = torch.from_numpy(mod_crop(read_rgb(path), 4)).permute(2, 0, 1).float()
    lr = imresize(image, _half(image))
    return _patches(imresize(lr, _half(lr)), lr, network), _patches(lr, image, network)


def _half(image: Tensor) -> tuple[int, ...]:
    return tuple(side // 2 for side in image.shape[-2:])


@torch.inference_mode()
def _patches(small: Tensor, large: Tensor, network: CSNLNNet | None) -> Patches:
    if network is None:
        upscaled = imresize(small, tuple(large.shape[-2:]))
    else:
        upscaled = 255 * network(small[None] / 255)[0]
    residual = _luma(large) - _luma(upscaled)
    patches = F.unfold(_luma(small)[None, None], _PATCH)[0].T
    margin = 2 * ((_PATCH - _CENTRE) // 2)
    residual = residual[margin:-margin, margin:-margin]
    blocks = F.unfold(residual[None, None], 2 * _CENTRE, stride=2)[0].T
    return Patches(patches - patches.mean(1, keepdim=True), blocks)


def _luma(image: Tensor) -> Tensor:
    """Y of [3, H, W] in 0..255, not rounded, [H, W]."""
    return torch.from_numpy(to_luma(image.permute(1, 2, 0).numpy())).float()


def predict(queries: Patches, candidates: Patches) -> Tensor:
    """The mean residual of the nearest candidates of each query, [N, 36]."""
    half_norms = candidates.patches.square().sum(1) / 2
    chunks = [
        torch.addmm(half_norms, chunk, candidates.patches.T, alpha=-1)
        .topk(_NEAREST, largest=False, sorted=False)
        .indices
        for chunk in queries.patches.split(256)
    ]
    return candidates.residuals[torch.cat(chunks)].mean(1)


def gain(wanted: Tensor, predicted: Tensor) -> float:
    """By how many dB the squared error falls with ``predicted`` added at the best strength."""
    explained = (wanted * predicted).sum().clamp(min=0).square()
    explained = explained / (wanted.square().sum() * predicted.square().sum()).clamp(min=1e-12)
    return -10 * (1 - explained).log10().item()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folders', nargs='+', type=Path, metavar='FOLDER')
    parser.add_argument(
        '--model', metavar='NAME|FILE', help='a model for x2 whose residual to predict'
    )
    args = parser.parse_args()
    network = load_network(args.model) if args.model else None
    if network and network.upscale_factor != 2:
        parser.error(f'{args.model} is for x{network.upscale_factor}, not x2')
    print('score', 'own', 'others', 'random', 'energy', 'image', sep='\t')
    rows = []
    for folder in args.folders:
        paths = list_images(folder)
        if len(paths) < 2:
            parser.error(f'{folder} has no two images to compare')
        rows += rank(paths, network)
    for *figures, path in sorted(rows, reverse=True):
        print(*(f'{figure:.3f}' for figure in figures), path, sep='\t')


def rank(paths: list[Path], network: CSNLNNet | None = None) -> list[tuple]:
    """Score, own, others, random, energy and path of each image of a folder."""
    generator = torch.Generator().manual_seed(0)

    def draw(count: int, of: int) -> Tensor:
        return torch.randperm(of, generator=generator)[:count]

    console = Console(file=sys.stderr)
    bank, owner = [], []
    for i, path in enumerate(track(paths, 'reading', console=console)):
        known, _ = known_and_wanted(path, network)
        share = -(-len(known.patches) // max(1, len(paths) - 1))
        bank.append(known.at(draw(share, len(known.patches))))
        owner.append(torch.full((len(bank[-1].patches),), i))
    bank, owner = Patches(*map(torch.cat, zip(*bank))), torch.cat(owner)
    rows = []
    for i, path in enumerate(track(paths, 'comparing', console=console)):
        known, wanted = known_and_wanted(path, network)
        wanted = wanted.at(draw(_QUERIES, len(wanted.patches)))
        count = len(known.patches)
        others = bank.at(torch.nonzero(owner != i).flatten())
        others = others.at(draw(count, len(others.patches)))
        chosen = torch.randint(count, (len(wanted.patches), _NEAREST), generator=generator)
        predictions = (
            predict(wanted, known),
            predict(wanted, others),
            known.residuals[chosen].mean(1),
        )
        own, other, random = (gain(wanted.residuals, one) for one in predictions)
        energy = wanted.residuals.square().mean().sqrt().item()
        rows.append((own - other, own, other, random, energy, path))
    return rows


if __name__ == '__main__':
    main()
