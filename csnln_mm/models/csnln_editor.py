"""MMagic's editor, with inference in pieces."""
from typing import List, Optional

from torch import Tensor

from mmagic.models.base_models import BaseEditModel
from mmagic.structures import DataSample

from .chopping import chopped_forward

__all__ = ['CSNLNEditor']


class CSNLNEditor(BaseEditModel):
    """Train and test a super-resolution network; test it in pieces, or on the whole image.

    Attention over a whole image takes time with the square of its pixels, and the published
    numbers of CSNLN were measured in pieces.

    Args:
        generator: config of the network, which must have an attribute ``upscale_factor``.
        pixel_loss: config of the loss.
        train_cfg: not used.
        test_cfg: how an image is enlarged in validation, test and prediction:

            - ``mode``: 'whole' (default), or 'chop', :func:`~.chopping.chopped_forward`;
            - ``overlap`` and ``max_pixels`` of 'chop': in LR pixels, 10 and 3600 as released.
        init_cfg: initialisation config of MMEngine.
        data_preprocessor: config of the preprocessor.

    Raises:
        ValueError: if ``test_cfg`` has another key or mode.
    """

    def __init__(self,
                 generator: dict,
                 pixel_loss: dict,
                 train_cfg: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(generator, pixel_loss, train_cfg, test_cfg, init_cfg, data_preprocessor)
        options = dict(test_cfg or {})
        self.test_mode = options.pop('mode', 'whole')
        accepted = {'whole': (), 'chop': ('overlap', 'max_pixels')}
        if self.test_mode not in accepted:
            raise ValueError(f"test_cfg['mode'] must be one of {tuple(accepted)}, got "
                             f'{self.test_mode!r}')
        unknown = set(options) - set(accepted[self.test_mode])
        if unknown:
            raise ValueError(f'test_cfg has unknown keys {sorted(unknown)} for mode '
                             f'{self.test_mode!r}; accepted: {accepted[self.test_mode]}')
        self.chop_options = options

    def forward_inference(self,
                          inputs: Tensor,
                          data_samples: Optional[List[DataSample]] = None,
                          **kwargs) -> DataSample:
        """Enlarge images as ``test_cfg`` says.

        Args:
            inputs: preprocessed LR images, [N, C, H, W].
            data_samples: their data samples.

        Returns:
            A data sample with ``pred_img``, [N, C, S H, S W] in 0..255, on the CPU.
        """
        if self.test_mode == 'whole':
            return super().forward_inference(inputs, data_samples, **kwargs)
        images = chopped_forward(
            lambda piece: self.forward_tensor(piece, data_samples, **kwargs), inputs,
            self.generator.upscale_factor, **self.chop_options)
        images = self.data_preprocessor.destruct(images, data_samples)
        return DataSample(pred_img=images.cpu())
