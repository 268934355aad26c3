"""Train attention that fetches what an image's own reduction lost, with a gate, and measure it.

    python benchmarks/residual_attention.py TRAINING_FOLDER [...] --test FOLDER --out head.pt
    python benchmarks/residual_attention.py TRAINING_FOLDER [...] --test FOLDER --without-fetching

`benchmarks/self_similarity.py` measures what the most similar patches of an image could add to a
network's result, at the best strength for the image. Here both are learnt, at x2, on features of
the network, whose weights stay as they are:

1. The network upscales LR, and LR/2 for the residual that is known at test time: LR minus LR/2
   upscaled. Features are the input of its last recurrence, normalised for each channel and image.
2. Two small networks make query, from LR's features, and key, from those of LR/2. By
   `cross_scale_attention` they look up residual and squared residual, so that the result knows
   how far the patches that it takes agree.
3. A gate of three convolutions sees the features, what was fetched and its standard deviation. It
   multiplies what was fetched, and adds to it; at first it gives 0.

Trained on crops, by L1 of the result and by the squared error of what was fetched, at one learnt
strength, as a prediction of what the network misses. For the second trains the score also while
the gate is still shut; printed is the share of the squared error that it explains. Tested on whole
images: by how many dB the head raises PSNR on Y, for each image and in the mean. Adam, cosine
decay, a moving average of the weights.
"""

import argparse
import sys
from math import cos, log, pi
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample, mod_crop
from csnln_mm.images.image_file import list_images, read_rgb
from csnln_mm.images.metrics import psnr
from csnln_mm.networks import CSNLNNet
from csnln_mm.ops import cross_scale_attention

_RESIDUAL = 20  # makes the residuals of images in 0..1 about 1


class Levels(NamedTuple):
    """An image, and it at half and at a quarter of its size; uint8, [H, W, 3]."""

    hr: np.ndarray
    lr: np.ndarray
    half: np.ndarray

    @classmethod
    def read(cls, path: Path) -> 'Levels':
        hr = mod_crop(read_rgb(path), 4)
        lr = downsample(hr, 2)
        return cls(hr, lr, downsample(lr, 2))

    def crop(self, side: int, random: np.random.Generator) -> 'Levels':
        """A square of ``side`` LR pixels, mirrored and turned at random."""
        y, x = (2 * int(random.integers((n - side) // 2 + 1)) for n in self.lr.shape[:2])
        turns, mirrored = int(random.integers(4)), bool(random.integers(2))
        crops = []
        for image, halvings in zip(self, (-1, 0, 1)):
            top, left, size = (int(n / 2**halvings) for n in (y, x, side))
            square = np.rot90(image[top : top + size, left : left + size], turns)
            crops.append(square[:, ::-1] if mirrored else square)
        return Levels(*crops)


class Known(NamedTuple):
    """What the frozen network knows of an image.

    ``sr``, [1, 3, 2H, 2W], features of LR and LR/2, [1, C, H, W] and [1, C, H/2, W/2], and LR's
    ``residual``, [1, 3, H, W].
    """

    sr: Tensor
    features: Tensor
    half_features: Tensor
    residual: Tensor


def known(network: CSNLNNet, levels: Levels) -> Known:
    inputs: list[Tensor] = []
    hook = network.cell.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    lr = as_tensor(levels.lr)
    results = []
    # Where gradients are off, large images go through the cell in blocks.
    with torch.enable_grad():
        for image in (lr, as_tensor(levels.half)):
            sr = network(image)
            results.append((sr, F.instance_norm(inputs[-1])))
    hook.remove()
    (sr, features), (upscaled, half_features) = results
    return Known(sr, features, half_features, _RESIDUAL * (lr - upscaled))


def as_tensor(image: np.ndarray) -> Tensor:
    """uint8 [H, W, 3] as [1, 3, H, W] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


class ResidualAttention(nn.Module):
    """What to add to the network's result, and what was fetched for it, [1, 3, 2H, 2W] each.

    Both times :data:`_RESIDUAL`.

    Args:
        channels: of the features.
        embedding: channels of query and key.
        width: channels of the gate.
        fetching: without, the gate sees the features alone: what a head without attention gains.
    """

    def __init__(
        self, channels: int, embedding: int = 16, width: int = 48, fetching: bool = True
    ) -> None:
        super().__init__()
        self.fetching = fetching
        self.query, self.key = (
            nn.Sequential(
                nn.Conv2d(channels, 2 * embedding, 3, padding=1),
                nn.PReLU(),
                nn.Conv2d(2 * embedding, embedding, 1),
            )
            for _ in range(2)
        )
        self.key.load_state_dict(self.query.state_dict())  # similar patches at first
        self.log_scale = nn.Parameter(torch.tensor(log(2.0)))
        self.strength = nn.Parameter(torch.tensor(0.3))
        self.gate = nn.Sequential(
            nn.Conv2d(channels + 24, width, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(width, 24, 3, padding=1),
        )
        for parameter in self.gate[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Known) -> tuple[Tensor, Tensor]:
        fetched, deviation = self._fetch(image)
        mean, deviation = F.pixel_unshuffle(fetched, 2), F.pixel_unshuffle(deviation, 2)
        gate, more = self.gate(torch.cat([image.features, mean, deviation], 1)).chunk(2, 1)
        return F.pixel_shuffle(gate * mean + more, 2), self.strength * fetched

    def _fetch(self, image: Known) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the residuals that the patches take, [1, 3, 2H, 2W]."""
        if not self.fetching:
            nothing = torch.zeros_like(image.sr)
            return nothing, nothing
        query = F.normalize(self.query(image.features), dim=1) * self.log_scale.exp()
        key = F.normalize(self.key(image.half_features), dim=1)
        value = torch.cat([image.residual, image.residual.square()], 1)
        # So that weights with the sum 1 make means: 9 patches overlap.
        fetched = cross_scale_attention(query, key, value, scale=2, divisor=9)
        mean, square = fetched.chunk(2, 1)
        return mean, (square - mean.square()).clamp(min=1e-6).sqrt()


@torch.no_grad()
def gain(network: CSNLNNet, head: nn.Module, levels: Levels) -> float:
    """By how many dB the head raises PSNR on Y of an image."""
    image = known(network, levels)
    before, after = (
        psnr((255 * sr.clamp(0, 1))[0].permute(1, 2, 0).round().byte().numpy(), levels.hr, 2)
        for sr in (image.sr, image.sr + head(image)[0] / _RESIDUAL)
    )
    return after - before


def train(
    network: CSNLNNet,
    images: list[Levels],
    steps: int,
    side: int = 96,
    learning_rate: float = 1e-3,
    fetching: bool = True,
    seed: int = 0,
) -> nn.Module:
    """A head after so many steps of one crop of ``side`` LR pixels."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    head = ResidualAttention(network.mid_channels, fetching=fetching)
    average = AveragedModel(head, multi_avg_fn=get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate)
    areas = np.array([image.lr[..., 0].size for image in images], float)
    sums = np.zeros(4)
    for step in track(range(1, steps + 1), 'training', console=Console(file=sys.stderr)):
        warm_up = min(1, step / min(100, steps))
        for group in optimizer.param_groups:
            group['lr'] = learning_rate * warm_up * (1 + cos(pi * step / steps)) / 2
        crop = images[random.choice(len(images), p=areas / areas.sum())].crop(side, random)
        image = known(network, crop)
        missed = _RESIDUAL * (as_tensor(crop.hr) - image.sr)
        added, fetched = head(image)
        losses = (missed - added).abs().mean(), (missed - fetched).square().mean()
        optimizer.zero_grad()
        sum(losses).backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1)
        optimizer.step()
        average.update_parameters(head)
        of_none = missed.abs().mean(), missed.square().mean()
        sums += [value.item() for value in (*losses, *of_none)]
        if step % 250 == 0:
            error, square = 1 - sums[:2] / sums[2:]
            print(f'# {step} steps: L1 {error:+.3%} less, explained {square:+.3%}', flush=True)
            sums[:] = 0
    return average.module


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folders', nargs='+', type=Path, metavar='TRAINING_FOLDER')
    parser.add_argument('--test', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--model', default='csnln-x2-fast', metavar='NAME|FILE')
    parser.add_argument('--steps', type=int, default=4000)
    parser.add_argument('--side', type=int, default=96, help='of a crop, in LR pixels (96)')
    parser.add_argument('--without-fetching', action='store_true', help='the gate alone')
    parser.add_argument('--out', type=Path, help='where to save the weights')
    args = parser.parse_args()
    if args.steps < 1 or args.side < 16 or args.side % 2:
        parser.error('--steps must be at least 1, --side an even number of at least 16')
    if args.out and not args.out.parent.is_dir():
        parser.error(f'no folder {args.out.parent}')
    try:
        network = load_network(args.model)
        tests = list_images(args.test)
        paths = [path for folder in args.folders for path in list_images(folder)]
    except UserError as error:
        parser.error(str(error))
    network.requires_grad_(False)
    if network.upscale_factor != 2:
        parser.error(f'{args.model} is for x{network.upscale_factor}, not x2')
    console = Console(file=sys.stderr)
    images = [Levels.read(path) for path in track(paths, 'reading', console=console)]
    images = [image for image in images if min(image.lr.shape[:2]) >= args.side]
    if not images or not tests:
        size = f'{2 * args.side} x {2 * args.side}'
        parser.error(f'no image of at least {size} pixels to train with, or none to test')
    head = train(network, images, args.steps, args.side, fetching=not args.without_fetching)
    if args.out:
        torch.save(head.state_dict(), args.out)
    gains = [gain(network, head, Levels.read(path)) for path in track(tests, console=console)]
    for value, path in sorted(zip(gains, tests), reverse=True):
        print(f'{value:+.3f}', path, sep='\t')
    print(f'{np.mean(gains):+.3f}', 'mean', sep='\t')


if __name__ == '__main__':
    main()
