"""MMagic's editor, with inference in tiles."""

from functools import partial
from typing import Any

from mmagic.models.base_models import BaseEditModel
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from torch import Tensor

from csnln_mm.upscaling.chopping import check_overlap, chopped_forward
from csnln_mm.upscaling.tiling import check_tile, self_ensemble, tiled_forward

# The function of each mode, and its options.
_MODES = {
    'whole': (lambda model, x, scale: model(x), ()),
    'chop': (chopped_forward, ('overlap', 'max_pixels')),
    'tile': (tiled_forward, ('tile', 'overlap')),
}


@MODELS.register_module()
class CSNLNEditor(BaseEditModel):
    """Train a super-resolution network, and test it in tiles or on whole images.

    The time of attention grows with the square of an image's pixels, and the published figures of
    CSNLN were measured on parts of images.

    Args:
        generator: config of the network, which must have an attribute ``upscale_factor``.
        pixel_loss: config of the loss.
        train_cfg: not used.
        test_cfg: how validation, test and prediction upscale, see :meth:`set_test_cfg`.
        init_cfg: initialisation config of MMEngine.
        data_preprocessor: config of the preprocessor.

    Raises:
        ValueError: if ``test_cfg`` has another key or mode, or a value out of range.
    """

    def __init__(
        self,
        generator: dict,
        pixel_loss: dict,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(generator, pixel_loss, train_cfg, test_cfg, init_cfg, data_preprocessor)
        self.set_test_cfg(test_cfg)

    def set_test_cfg(self, test_cfg: dict | None) -> None:
        """Choose how the model upscales images from now on.

        Args:
            test_cfg:

                - ``mode``: 'whole' (default); 'chop', :func:`~.chopping.chopped_forward`; or
                  'tile', :func:`~.tiling.tiled_forward`;
                - ``overlap`` and ``max_pixels`` of 'chop': in LR pixels, 10 and 3600 as released;
                - ``tile`` and ``overlap`` of 'tile': in LR pixels, 64 and 8;
                - ``ensemble``: average over eight flips and rotations of each tile; False.

        Raises:
            ValueError: if there is another key or mode, or a value out of range.
        """
        options = dict(test_cfg or {})
        mode = options.pop('mode', 'whole')
        ensemble = options.pop('ensemble', False)
        if mode not in _MODES:
            raise ValueError(f"test_cfg['mode'] must be one of {tuple(_MODES)}, got {mode!r}")
        known = {key for _, keys in _MODES.values() for key in keys}
        if set(options) - known:
            raise ValueError(
                f'test_cfg has unknown keys {sorted(set(options) - known)}; accepted: '
                f'{sorted(known | {"mode", "ensemble"})}'
            )
        # A user may change the mode alone: options of other modes are ignored.
        options = {key: value for key, value in options.items() if key in _MODES[mode][1]}
        if mode == 'chop':
            check_overlap(options.get('overlap', 10))
        if mode == 'tile':
            check_tile(options.get('tile', 64), options.get('overlap', 8))
        self.test_mode = mode
        self.test_options = options
        self.ensemble = bool(ensemble)

    def forward_inference(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None, **kwargs: Any
    ) -> DataSample:
        """Upscale images according to ``test_cfg``.

        Args:
            inputs: preprocessed LR images, [N, C, H, W].
            data_samples: their data samples.

        Returns:
            A data sample with ``pred_img``, [N, C, S H, S W] in 0..255, on the CPU.
        """

        def upscale(tile: Tensor) -> Tensor:
            return self.forward_tensor(tile, data_samples, **kwargs)

        run, _ = _MODES[self.test_mode]
        images = run(
            partial(self_ensemble, upscale) if self.ensemble else upscale,
            inputs,
            self.generator.upscale_factor,
            **self.test_options,
        )
        images = self.data_preprocessor.destruct(images, data_samples)
        return DataSample(pred_img=images.cpu())
