"""The cross-scale non-local network (CSNLN), section 4.3 and Figure 3."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from csnln_mm.networks.build import build_part
from csnln_mm.networks.conv_prelu import ConvPReLU, resampling_kernel
from csnln_mm.networks.fusion import BRANCHES
from csnln_mm.networks.sem_cell import SEMCell


class CSNLNNet(nn.Module):
    """Super-resolution by the same SEM cell, time and again.

    Args:
        in_channels: channels of the LR image, c.
        out_channels: channels of the SR image, c as well.
        mid_channels: C, channels of all features.
        num_recurrences: how often the cell is applied. With 1, what makes the cell's next input
            is not trained, since there is none.
        upscale_factor: S, 2, 3 or 4.
        cell: arguments of :class:`SEMCell` beyond those that follow from the network's; with
            ``type``, of another cell.
        rgb_mean: subtracted from the input and added to the output, in 0..1, one value per
            channel.
        image_skip: add the bicubic interpolation of the input to the output, instead of the mean
            alone. Not in the paper; lets small networks learn in minutes.
        recurrence_skip: add the cell's input to the next input that it makes: each recurrence
            learns a change of the features. Not in the paper; has no parameters.
        attention_recurrences: the recurrences, from 1, in which the attention branches of the cell
            work; all by default. In the others the cell has its local branch alone, which costs a
            fraction of the time. Not in the paper.
        with_cp: in training, keep no activations within a recurrence but compute them again in
            the backward pass: less memory, more time.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 128,
        num_recurrences: int = 12,
        upscale_factor: int = 2,
        cell: dict | None = None,
        rgb_mean: Sequence[float] = (0.4488, 0.4371, 0.4040),
        image_skip: bool = False,
        attention_recurrences: Sequence[int] | None = None,
        with_cp: bool = False,
        recurrence_skip: bool = False,
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
        self.register_buffer('mean', torch.tensor(rgb_mean).view(1, -1, 1, 1), persistent=False)
        self.head = nn.Sequential(
            ConvPReLU(in_channels, mid_channels), ConvPReLU(mid_channels, mid_channels)
        )
        self.cell = build_part(
            cell, SEMCell, mid_channels=mid_channels, upscale_factor=upscale_factor
        )
        self.attention_recurrences = None
        if attention_recurrences is not None:
            self.attention_recurrences = frozenset(attention_recurrences)
            if not self.attention_recurrences <= set(range(1, num_recurrences + 1)):
                raise ValueError(
                    f'attention_recurrences must lie in 1 to {num_recurrences}, got '
                    f'{attention_recurrences}'
                )
            branches = (cell or {}).get('branches', BRANCHES)
            if not self.attention_recurrences or 'local' not in branches or len(branches) < 2:
                raise ValueError(
                    'attention_recurrences needs at least one recurrence, the local branch and an '
                    f'attention branch, got {attention_recurrences} and branches {branches}'
                )
        if num_recurrences == 1 and isinstance(self.cell, SEMCell):
            # DistributedDataParallel stops at a parameter that bears on nothing.
            self.cell.next_input.requires_grad_(False)
        self.reconstruct = nn.Conv2d(mid_channels * num_recurrences, out_channels, 3, padding=1)

    @property
    def has_attention(self) -> bool:
        """Whether it compares pixels, so that time grows with the square of an image's area."""
        if not isinstance(self.cell, SEMCell):
            return True  # as far as one can tell
        return any(stage.use_in_scale or stage.use_cross_scale for stage in self.cell.stages)

    @property
    def receptive_radius(self) -> int | None:
        """LR pixels around a pixel that its result depends on; None with attention: all of them."""
        if self.has_attention:
            return None
        kernel_size, stride, _ = resampling_kernel(self.upscale_factor)
        plain = 0 if self.cell.plain is None else len(self.cell.plain) - 1
        # Two 3x3 convolutions of the head; in each recurrence up and down again (or up and
        # `reconstruct`), and a 3x3 convolution between recurrences.
        steps = self.num_recurrences * (plain + kernel_size // stride - 1)
        return 2 + steps + self.num_recurrences - 1

    def forward(self, x: Tensor) -> Tensor:
        """Upscale images.

        Args:
            x: [N, c, H, W], RGB in 0..1, any H, W >= 1.

        Returns:
            [N, c, S H, S W], not clipped.
        """
        features = self.head(x - self.mean)
        if self.image_skip:
            # By size, which torch.export can leave open; of a scale factor it takes the number.
            size = [self.upscale_factor * side for side in x.shape[-2:]]
            image = F.interpolate(x, size, mode='bicubic', align_corners=False)
        else:
            image = self.mean
        # One convolution over all hidden states, as a sum that need not hold them all.
        kernels = self.reconstruct.weight.chunk(self.num_recurrences, 1)
        for i, kernel in enumerate(kernels):
            bias = self.reconstruct.bias if i == 0 else None
            if self.with_cp and self.training and torch.is_grad_enabled():
                features, part = checkpoint(
                    self._recur, features, i + 1, kernel, bias, use_reentrant=False
                )
            else:
                features, part = self._recur(features, i + 1, kernel, bias)
            image = image + part
        return image

    def _recur(
        self, features: Tensor, recurrence: int, kernel: Tensor, bias: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        """The next features, if any, and the hidden state's part of the image."""
        options = {}
        if self.attention_recurrences is not None:
            options['attention'] = recurrence in self.attention_recurrences
        # A cell of one's own may not know it.
        if recurrence == self.num_recurrences and type(self.cell).forward is SEMCell.forward:
            options['last'] = True
        following, hidden = self.cell(features, **options)
        if self.recurrence_skip and following is not None:
            following = features + following
        return following, F.conv2d(hidden, kernel, bias, padding=1)
