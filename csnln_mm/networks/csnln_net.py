"""The cross-scale non-local network (CSNLN), section 4.3 and Figure 3."""

from collections.abc import Sequence
from math import isqrt
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from csnln_mm.networks.build import build_part, register_part
from csnln_mm.networks.cell import Cell
from csnln_mm.networks.conv_prelu import ConvPReLU
from csnln_mm.ops.uncompiled import is_inference_on_cpu, is_tracing

# Of DIV2K, as the released code has it.
RGB_MEAN = (0.4488, 0.4371, 0.4040)
# Elements of a hidden state that exist at once in inference, if the cell's reach is known: 16 MiB,
# so that little goes to memory and back. Of up to 64 MiB all do, as what blocks share takes longer.
BLOCK = 2**22
UNCUT = 2**24


@register_part
class CSNLNNet(nn.Module):
    """Upscale images by applying the same SEM cell recurrently.

    Args:
        in_channels: channels of the LR image, c.
        out_channels: channels of the SR image, c as well.
        mid_channels: C, channels of all features.
        num_recurrences: how often the cell is applied. With 1, the part of the cell that makes
            the next input is not trained, since there is no next input.
        upscale_factor: S, one of :data:`csnln_mm.scales.SCALES`.
        cell: arguments of the :class:`SEMCell` beyond those that follow from the network's; with
            ``type``, of another :class:`~csnln_mm.networks.Cell`.
        rgb_mean: subtracted from the input and added to the output, in 0..1, one value per
            channel.
        image_skip: add the bicubic interpolation of the input to the output, instead of the mean
            alone. Not in the paper; lets small networks learn in minutes.
        recurrence_skip: add the cell's input to the next input that it makes: each recurrence
            learns a change of the features. Not in the paper; has no parameters.
        attention_recurrences: the recurrences, from 1, in which the cell uses its attention; all
            by default. In the others it has its local branch alone, which costs a fraction of the
            time. Not in the paper.
        with_cp: in training, recompute the activations of each recurrence in the backward pass
            instead of keeping them: less memory, more time.

    Raises:
        ValueError: if an argument is out of range.

    Examples:
        A small network, with attention in the first of its two recurrences:

        >>> import torch
        >>> from csnln_mm.networks import CSNLNNet
        >>> network = CSNLNNet(mid_channels=8, num_recurrences=2, attention_recurrences=[1])
        >>> network(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 10, 14])
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 128,
        num_recurrences: int = 12,
        upscale_factor: int = 2,
        cell: dict | None = None,
        rgb_mean: Sequence[float] = RGB_MEAN,
        image_skip: bool = False,
        recurrence_skip: bool = False,
        attention_recurrences: Sequence[int] | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        for name, number in dict(
            in_channels=in_channels,
            out_channels=out_channels,
            mid_channels=mid_channels,
            num_recurrences=num_recurrences,
        ).items():
            if not isinstance(number, int) or number < 1:
                raise ValueError(f'{name} must be an integer of at least 1, got {number!r}')
        if len(rgb_mean) != in_channels or in_channels != out_channels:
            raise ValueError(
                f'in_channels ({in_channels}), out_channels ({out_channels}) and the '
                f'length of rgb_mean ({len(rgb_mean)}) must agree'
            )
        self.mid_channels = mid_channels
        self.num_recurrences = num_recurrences
        self.upscale_factor = upscale_factor
        self.image_skip = image_skip
        self.recurrence_skip = recurrence_skip
        self.with_cp = with_cp
        self.rgb_mean = tuple(rgb_mean)
        self.reset_mean()
        self.head = nn.Sequential(
            ConvPReLU(in_channels, mid_channels), ConvPReLU(mid_channels, mid_channels)
        )
        built = build_part(
            cell, 'SEMCell', mid_channels=mid_channels, upscale_factor=upscale_factor
        )
        if not isinstance(built, Cell):
            raise ValueError(f'{type(built).__name__} is not a csnln_mm.networks.Cell')
        self.cell = built
        self.attention_recurrences: frozenset[int] | None = None
        if attention_recurrences is not None:
            self.attention_recurrences = frozenset(attention_recurrences)
            if not self.attention_recurrences <= set(range(1, num_recurrences + 1)):
                raise ValueError(
                    f'attention_recurrences must lie in 1 to {num_recurrences}, got '
                    f'{attention_recurrences}'
                )
            if not self.attention_recurrences or not self.cell.attention_is_optional:
                raise ValueError(
                    'attention_recurrences needs at least one recurrence, and a cell with an '
                    f'attention branch and the local branch, got {attention_recurrences}'
                )
        if num_recurrences == 1:
            self.cell.freeze_next_input()
        self.reconstruct = nn.Conv2d(mid_channels * num_recurrences, out_channels, 3, padding=1)

    @property
    def in_channels(self) -> int:
        """Channels of the images that it takes, and gives."""
        return len(self.rgb_mean)

    @property
    def has_attention(self) -> bool:
        """Whether it compares pixels, so that time grows with the square of an image's area."""
        return self.cell.has_attention

    @property
    def receptive_radius(self) -> int | None:
        """LR pixels around a pixel that its result depends on; None with attention: all of them."""
        radii = self.cell.receptive_radii
        if radii is None:
            return None
        # Of the head's two 3x3 convolutions, the recurrences, and the last one's reconstruction.
        return 2 + (self.num_recurrences - 1) * radii[0] + radii[1]

    mean: Tensor

    def reset_mean(self) -> None:
        """Set the buffer ``mean``, which no state dict holds, to ``rgb_mean``."""
        mean = torch.tensor(self.rgb_mean).view(1, -1, 1, 1)
        self.register_buffer('mean', mean, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Upscale images.

        Args:
            x: [N, c, H, W], RGB in 0..1, any H, W >= 1.

        Returns:
            [N, c, S H, S W], not clipped.
        """
        features: Tensor | None
        features, image = self.start(x)
        # One convolution over all hidden states, as a sum that need not hold them all.
        weight, all_bias = self.reconstruct.weight, cast(Tensor, self.reconstruct.bias)
        if is_inference_on_cpu(x) and self.in_channels <= 4:
            weight, all_bias = _of_squares(weight, all_bias, self.upscale_factor)
        for i, kernel in enumerate(weight.chunk(self.num_recurrences, 1)):
            bias = all_bias if i == 0 else None
            assert features is not None  # as after the last recurrence only
            if self.with_cp and self.training and torch.is_grad_enabled():
                features, part = checkpoint(
                    self._recur, features, i + 1, kernel, bias, use_reentrant=False
                )
            else:
                features, part = self._recur(features, i + 1, kernel, bias)
            # In place where it is the sum so far, which nobody else has.
            image = image + part if i == 0 or torch.is_grad_enabled() else image.add_(part)
        return image

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features of images [N, c, H, W], and what the recurrences' parts are added to."""
        features = self.head(x - self.mean)
        if not self.image_skip:
            return features, self.mean
        # By size, which torch.export can leave open; of a scale factor it takes the number.
        size = [self.upscale_factor * side for side in x.shape[-2:]]
        return features, F.interpolate(x, size, mode='bicubic', align_corners=False)

    def _recur(
        self, features: Tensor, recurrence: int, kernel: Tensor, bias: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        """The next features, if any, and the hidden state's part of the image."""
        radii, scale = self.cell.receptive_radii, self.upscale_factor
        # On meta, what is counted is the network's size, and no block shares a part of it.
        if radii is None or torch.is_grad_enabled() or is_tracing() or features.is_meta:
            return self._recur_at_once(features, recurrence, kernel, bias)
        count, channels, height, width = features.shape
        per_pixel = count * channels * scale**2
        side = max(32, isqrt(BLOCK // per_pixel))
        if per_pixel * height * width <= UNCUT or max(height, width) <= side:
            return self._recur_at_once(features, recurrence, kernel, bias)
        following = None if recurrence == self.num_recurrences else torch.empty_like(features)
        part = features.new_empty(count, self.in_channels, scale * height, scale * width)
        # What a block's result depends on around it. Even sides are what deconvolutions like.
        margin = max(radii) + max(radii) % 2
        for top, bottom in _spans(height, side):
            for left, right in _spans(width, side):
                y, x = max(0, top - margin), max(0, left - margin)
                block = features[..., y : bottom + margin, x : right + margin]
                new, image = self._recur_at_once(block, recurrence, kernel, bias)
                if following is not None and new is not None:
                    new = new[..., top - y : bottom - y, left - x : right - x]
                    following[..., top:bottom, left:right] = new
                part[..., scale * top : scale * bottom, scale * left : scale * right] = image[
                    ...,
                    scale * (top - y) : scale * (bottom - y),
                    scale * (left - x) : scale * (right - x),
                ]
        return following, part

    def _recur_at_once(
        self, features: Tensor, recurrence: int, kernel: Tensor, bias: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        """As :meth:`_recur`."""
        attending = self.attention_recurrences
        following, hidden = self.cell(
            features,
            attention=attending is None or recurrence in attending,
            last=recurrence == self.num_recurrences,
        )
        if self.recurrence_skip and following is not None:
            following = features + following
        side = kernel.shape[-1] - 2
        image = F.conv2d(hidden, kernel, bias, side, padding=1)
        return following, image if side == 1 else F.pixel_shuffle(image, side)


def _of_squares(weight: Tensor, bias: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Those of the channels that all pixels of a square have, from those of a pixel.

    A CPU computes 16 channels in about the time of 3: so it needs half the time.

    Args:
        weight: [c, C, 3, 3].
        bias: [c].
        scale: S. The side r of the squares divides it.

    Returns:
        [c r r, C, 2 + r, 2 + r] and [c r r], for a stride of r and ``pixel_shuffle``.
    """
    side = 2 if scale % 2 == 0 else scale
    squares = weight.new_zeros(len(weight), side, side, weight.shape[1], side + 2, side + 2)
    for y in range(side):
        for x in range(side):
            squares[:, y, x, :, y : y + 3, x : x + 3] = weight
    return squares.flatten(0, 2), bias.repeat_interleave(side**2)


def _spans(length: int, most: int) -> list[tuple[int, int]]:
    """Few spans of about so much that make up a length, but for the last multiples of 4."""
    count = -(-length // most)
    edges = [length * i // count // 4 * 4 for i in range(count)]
    return list(zip(edges, [*edges[1:], length]))
