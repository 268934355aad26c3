"""Register CSNLN with spandrel, which chaiNNer, ComfyUI and others load models with."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from csnln_mm.checkpoints.architecture import ARCHITECTURE_KEY, get_state_dict
from csnln_mm.checkpoints.from_tensors import is_csnln
from csnln_mm.checkpoints.network import build_from_checkpoint
from csnln_mm.device import free_memory
from csnln_mm.errors import UserError
from csnln_mm.upscaling.tile_size import OutOfMemory, Tiling, choose_tiling, with_smaller_tiles
from csnln_mm.upscaling.tiling import tiled_forward
from csnln_mm.upscaling.upscaler import network_bands

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
Check = Callable[[], None]


class TiledNetwork(nn.Module):
    """A network that cuts images into tiles, as :class:`~csnln_mm.upscaling.Upscaler` does.

    Time and memory of attention grow with the square of a tile's pixels, and programs use tiles of
    512 pixels, or none.

    Args:
        network: a :class:`~csnln_mm.networks.CSNLNNet`.
        on_tile: see below, as ``check``.

    Attributes:
        on_tile: called with (done, total) after each tile, or None; an exception in it ends the
            call.
        check: called many times within a tile, or None; an exception in it ends the call.
    """

    def __init__(
        self, network: nn.Module, on_tile: OnTile | None = None, check: Check | None = None
    ) -> None:
        super().__init__()
        # The upscaler's memory format, for speed and equal rounding.
        self.network = network.to(memory_format=torch.channels_last)
        self.on_tile, self.check = on_tile, check
        for module in network.modules():
            if list(module.children()):  # a hook of the innermost ones would keep them from fusing
                module.register_forward_pre_hook(self._check)
        self._free_memory: dict[torch.device, int | None] = {}

    def _check(self, *_: Any) -> None:
        if self.check:
            self.check()

    def forward(self, x: Tensor) -> Tensor:
        """Upscale [N, c, H, W] in 0..1 to [N, c, S H, S W], not clipped, in the dtype of ``x``.

        Raises:
            torch.cuda.OutOfMemoryError: if memory does not suffice for tiles of 32 pixels; on a
                CPU, what torch raises there.
            UserError: if the images have another number of channels than the network takes.
        """
        channels = network_bands(self.network)
        if x.shape[1] != channels:
            raise UserError(f'the network takes images of {channels} channels, not {x.shape[1]}')
        if x.device not in self._free_memory:
            # Asked once: caches of earlier images must not change the tiles of later ones.
            self._free_memory[x.device] = free_memory(x.device)
        size, free = (x.shape[-1], x.shape[-2]), self._free_memory[x.device]
        tiling = choose_tiling(size, self.network, x.device, free=free)
        # For views of [H, W, C], which programs hand in, torch rounds differently.
        x = x.contiguous()

        def run(tiling: Tiling) -> Tensor:
            runs = itertools.count(1)

            def upscale(tile: Tensor) -> Tensor:
                y = self.network(tile)
                if self.on_tile:
                    self.on_tile(next(runs), tiling.count)
                return y

            options = dict(tile=tiling.tile, overlap=tiling.overlap, margin=tiling.margin)
            return tiled_forward(upscale, x, self.network.upscale_factor, **options).to(x.dtype)

        try:
            return with_smaller_tiles(run, tiling, size, self.network, None)
        except OutOfMemory as error:
            raise error.__cause__ from None  # programs catch this one, and try smaller tiles


_is_released = KeyCondition.has_all(
    'sub_mean.weight',
    'head.0.0.weight',
    'SEM.multi_source_projection.up_attention.conv_match_1.0.weight',
    'SEM.multi_source_projection.down_attention.conv_match1.0.weight',
    'tail.0.weight',
)


def _detect(state_dict: StateDict) -> bool:
    """Whether a state dict, of any program, belongs to a CSNLN."""
    weights = get_state_dict(state_dict, 'loaded by spandrel')
    return ARCHITECTURE_KEY in state_dict or _is_released(weights) or is_csnln(weights)


class CSNLNArch(Architecture[TiledNetwork]):
    """Detects CSNLN, and loads files of ``csnln export`` and state dicts of the released code.

    Other state dicts do not show all settings; loading one raises a UserError that names them.

    Args:
        on_tile: :attr:`TiledNetwork.on_tile` of the networks.
        check: :attr:`TiledNetwork.check` of the networks.
    """

    def __init__(self, on_tile: OnTile | None = None, check: Check | None = None) -> None:
        super().__init__(id='CSNLN', detect=_detect)
        self.on_tile, self.check = on_tile, check

    def load(self, state_dict: StateDict) -> ImageModelDescriptor[TiledNetwork]:
        """Build the network of a state dict; UserError if the two do not fit."""
        loaded = build_from_checkpoint(state_dict, 'loaded by spandrel')
        network: Any = loaded.network
        channels = network.head[0][0].in_channels
        model = TiledNetwork(network, self.on_tile, self.check)
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


def register(
    registry: ArchRegistry = MAIN_REGISTRY,
    *,
    on_tile: OnTile | None = None,
    check: Check | None = None,
) -> None:
    """Let spandrel load CSNLN from now on; another call changes ``on_tile`` and ``check``.

    Args:
        registry: by default that of ``ModelLoader()``.
        on_tile: called with (done, total) after each tile of an image, for progress; an exception
            in it ends the work.
        check: called before each convolution with its PReLU, where a program looks whether the user
            has cancelled; an exception in it ends the work.
    """
    if 'CSNLN' in registry:
        registered = registry['CSNLN'].architecture
        registered.on_tile, registered.check = on_tile, check
    else:
        registry.add(ArchSupport.from_architecture(CSNLNArch(on_tile, check)))
