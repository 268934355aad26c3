"""The interface of the cell that a :class:`~csnln_mm.networks.CSNLNNet` applies repeatedly."""

from torch import Tensor, nn


class Cell(nn.Module):
    """Base class of the cells of a :class:`~csnln_mm.networks.CSNLNNet`.

    The network builds a cell with ``mid_channels``, ``upscale_factor`` and the arguments in its
    config. A subclass defines :meth:`forward`; the other members have defaults for cells without
    attention whose reach is not known.
    """

    def forward(
        self, x: Tensor, attention: bool = True, last: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """One recurrence.

        Args:
            x: features, [N, C, H, W].
            attention: whether the cell uses its attention; False only if
                :attr:`attention_is_optional`.
            last: whether no recurrence follows, so that the next input is not needed.

        Returns:
            The features for the next recurrence, [N, C, H, W], which may be None after the last,
            and the hidden state, [N, C, S H, S W].
        """
        raise NotImplementedError

    def attentions(self) -> list[dict[str, nn.Module]]:
        """The attention modules, stage by stage: 'in_scale', 'cross_scale' or both.

        All modules of a stage get the same features, once in each recurrence with attention.
        """
        return []

    @property
    def has_attention(self) -> bool:
        """Whether the cell compares pixels with one another."""
        return bool(self.attentions())

    @property
    def attention_is_optional(self) -> bool:
        """Whether the cell also works without its attention."""
        return False

    @property
    def receptive_radii(self) -> tuple[int, int] | None:
        """How far the cell sees, in LR pixels; None: as far as the map reaches, or not known.

        The first is for the next input, the second for the hidden state after a 3x3 convolution.
        """
        return None

    def freeze_next_input(self) -> None:
        """Exclude from training the weights that only the next input depends on.

        The network calls this if there is a single recurrence, since DistributedDataParallel stops
        at a parameter without a gradient.
        """
