"""CSNLN in programs that load their models with spandrel, such as chaiNNer and ComfyUI."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from csnln_mm.checkpoints.architecture import ARCHITECTURE_KEY, get_state_dict
from csnln_mm.checkpoints.from_tensors import is_csnln
from csnln_mm.checkpoints.network import build_from_checkpoint
from csnln_mm.device import free_memory
from csnln_mm.errors import UserError
from csnln_mm.upscaling.tile_size import OutOfMemory, choose_tiling, upscale_in_tiles

try:
    from spandrel import (
        MAIN_REGISTRY,
        Architecture,
        ArchRegistry,
        ArchSupport,
        ImageModelDescriptor,
        ModelTiling,
        StateDict,
    )
    from spandrel.util import KeyCondition
except ImportError as error:
    raise UserError(f'needs spandrel ({error}): pip install "csnln-mm[spandrel]"') from error

OnTile = Callable[[int, int], None]


class TiledNetwork(nn.Module):
    """A network that cuts its images into tiles itself, as :class:`~csnln_mm.upscaling.Upscaler`.

    Attention takes time and memory with the square of a tile's pixels, and programs cut into tiles
    of 512, if at all.

    Args:
        network: a :class:`~csnln_mm.networks.CSNLNNet`.
        on_tile: the attribute of the same name.

    Attributes:
        on_tile: called with (done, total) after each tile of an image; what it raises ends the
            call. None: nobody is told.
    """

    def __init__(self, network: nn.Module, on_tile: OnTile | None = None) -> None:
        super().__init__()
        # As the upscaler has it, for speed and for the same rounding.
        self.network = network.to(memory_format=torch.channels_last)
        self.on_tile = on_tile
        self._free_memory: dict[torch.device, int | None] = {}

    def forward(self, x: Tensor) -> Tensor:
        """[N, c, H, W] in 0..1 -> [N, c, S H, S W], not clipped, in the dtype of ``x``.

        When memory runs out, the tile is halved, down to 32 pixels.

        Raises:
            torch.cuda.OutOfMemoryError: if that does not suffice; on a CPU, what torch raises
                there.
        """
        if x.device not in self._free_memory:
            # Asked once: what earlier images leave in caches must not change later ones' tiles.
            self._free_memory[x.device] = free_memory(x.device)
        size, free = (x.shape[-1], x.shape[-2]), self._free_memory[x.device]
        tiling = choose_tiling(size, self.network, x.device, free=free)
        try:
            return upscale_in_tiles(self.network, x, tiling, on_tile=self.on_tile)
        except OutOfMemory as error:
            raise error.__cause__ from None  # by which a program knows to try with less


_is_released = KeyCondition.has_all(
    'sub_mean.weight',
    'head.0.0.weight',
    'SEM.multi_source_projection.up_attention.conv_match_1.0.weight',
    'SEM.multi_source_projection.down_attention.conv_match1.0.weight',
    'tail.0.weight',
)


def _detect(state_dict: StateDict) -> bool:
    """Whether a state dict is of a CSNLN, whoever wrote it."""
    weights = get_state_dict(state_dict, 'loaded by spandrel')
    return ARCHITECTURE_KEY in state_dict or _is_released(weights) or is_csnln(weights)


class CSNLNArch(Architecture[TiledNetwork]):
    """Detects CSNLN and loads what ``csnln export`` writes and the released code's state dicts.

    Other state dicts do not show all settings: loading them raises UserError, which names those.

    Args:
        on_tile: what each network loaded has as :attr:`TiledNetwork.on_tile`.
    """

    def __init__(self, on_tile: OnTile | None = None) -> None:
        super().__init__(id='CSNLN', detect=_detect)
        self.on_tile = on_tile

    def load(self, state_dict: StateDict) -> ImageModelDescriptor[TiledNetwork]:
        """The network of a state dict, ready to upscale images of any size.

        Raises:
            UserError: if the state dict is not that of the network that it says it is.
        """
        loaded = build_from_checkpoint(state_dict, 'loaded by spandrel')
        network: Any = loaded.network
        channels = network.head[0][0].in_channels
        model = TiledNetwork(network, self.on_tile)
        return ImageModelDescriptor(
            model,
            model.state_dict(),
            architecture=self,
            purpose='SR',
            tags=[f'{network.mid_channels}nf', f'{network.num_recurrences} recurrences'],
            # Similarities and softmax stay in float32.
            supports_half=True,
            supports_bfloat16=True,
            scale=network.upscale_factor,
            input_channels=channels,
            output_channels=channels,
            tiling=ModelTiling.INTERNAL,
        )


def register(registry: ArchRegistry = MAIN_REGISTRY, *, on_tile: OnTile | None = None) -> None:
    """Have spandrel load CSNLN; to be called before the first model is loaded.

    May be called again, for the networks that are loaded from then on.

    Args:
        registry: by default the one that ``ModelLoader()`` asks.
        on_tile: called with (done, total) after each tile that a network cuts an image into, such
            as to draw a progress bar or to raise what ends the work.
    """
    if 'CSNLN' in registry:
        registry['CSNLN'].architecture.on_tile = on_tile
    else:
        registry.add(ArchSupport.from_architecture(CSNLNArch(on_tile)))
