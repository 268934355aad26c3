"""Initialise larger networks from the weights of smaller ones.

A small network with attention learns slowly from scratch: at first the attention averages
everything over everything. Without attention it learns quickly. So the local branch is trained
first. Attention is then added without changing the network's result, with weights that are
selective from the first step. Likewise a network of another scale begins with resized kernels, a
network with more recurrences ignores the new ones at first, and one of other bands takes each for
an equal part of the image.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csnln_mm.networks.conv_prelu import Downsample, Upsample
from csnln_mm.networks.csnln_net import RGB_MEAN, CSNLNNet
from csnln_mm.networks.fusion import MutualProjectedFusion
from csnln_mm.networks.sem_cell import SEMCell
from csnln_mm.scales import KERNELS


@torch.no_grad()
def add_attention(
    network: CSNLNNet, weights: Mapping[str, Tensor], images: Iterable[Tensor], *, gain: float = 0.3
) -> None:
    """Fill a network with the weights of one that has only the local branch.

    The attention branches deliver zeros at first: the value of the cross-scale attention, the
    upsampling after the in-scale attention, and the biases in the fusion are zero. So the network
    computes the same as the other one, but its gradients are not zero.

    Query and key are the leading principal components of the attention's input, whitened, the
    query times ``gain``: similar pixels attend to one another.

    Args:
        network: with the local branch, attention, one stage, and mutual projection; changed in
            place.
        weights: state dict of the same network with ``branches=('local',)``.
        images: LR images, [N, 3, H, W] in 0..1, for the principal components: some thousands of
            pixels at least.
        gain: how selective the attention is; 0 for a plain mean.

    Raises:
        ValueError: if the network has no attention to add to these weights.
    """
    own = network.state_dict()
    cell = network.cell
    if not isinstance(cell, SEMCell) or len(cell.attentions()) != 1:
        raise ValueError('attention is added to a network with attention in a single stage')
    (stage,) = cell.stages
    if not stage.use_local or not isinstance(stage.fusion, MutualProjectedFusion):
        raise ValueError('attention is added to a local branch, by mutual projection')
    for key, value in weights.items():
        if key not in own or own[key].shape != value.shape:
            raise ValueError(f'the weights do not fit the network: {key}')
    network.load_state_dict(weights, strict=False)
    attentions = []
    if stage.use_cross_scale:
        attentions.append(stage.cross_scale_attention)
        _silence(_convolution(stage.cross_scale_attention.value))
    if stage.use_in_scale:
        attentions.append(stage.in_scale_attention)
        _silence(_convolution(stage.in_scale_upsample))
    _zero_bias(_convolution(stage.fusion.downsample))
    if stage.use_cross_scale and stage.use_in_scale:
        for layer in stage.fusion.projection.modules():  # zero input gives zero output
            if isinstance(layer, nn.Conv2d):
                _zero_bias(layer)
    mean, components = _principal_components(network, attentions, images)
    for attention in attentions:
        for layer, factor in (attention.query, gain), (attention.key, 1.0):
            conv, activation = layer
            rows = components[: conv.out_channels]
            conv.weight.copy_(factor * rows[:, :, None, None])
            conv.bias.copy_(-factor * rows @ mean)
            nn.init.ones_(activation.weight)


def add_recurrences(weights: Mapping[str, Tensor], num_recurrences: int) -> dict[str, Tensor]:
    """Weights for a network that applies its cell more often.

    The output is reconstructed from all hidden states. The kernels for the new recurrences are
    zero, so the network computes the same as the other one, but the gradients of these kernels
    are not zero. All other weights are copied.

    Args:
        weights: state dict of a :class:`CSNLNNet`.
        num_recurrences: of the new network.

    Raises:
        ValueError: if the network has more.
    """
    kernel = weights['reconstruct.weight']
    channels = len(weights['head.0.0.weight'])
    new = num_recurrences * channels - kernel.shape[1]
    if new < 0:
        raise ValueError(f'the network has more than {num_recurrences} recurrences')
    return dict(weights, **{'reconstruct.weight': F.pad(kernel, (0, 0, 0, 0, 0, new))})


@torch.no_grad()
def change_scale(network: CSNLNNet, weights: Mapping[str, Tensor]) -> None:
    """Fill a network with the weights of one that upscales by another factor.

    The kernels of layers that change the size of a map are resized bicubically, so that they cover
    the same pixels of the LR image as far as they reach; kernels that reduce keep their sum. All
    other weights are copied.

    Args:
        network: changed in place; like the other one but for its ``upscale_factor`` and, with
            attention, a single stage in both.
        weights: state dict of the other network.

    Raises:
        ValueError: if the networks differ in more.
    """
    own = network.state_dict()
    if own.keys() != weights.keys():
        raise ValueError('the networks differ in more than their scale')
    resized = dict(weights)
    for name, module in network.named_modules():
        if isinstance(module, (Downsample, Upsample)):
            key = f'{name}.0.weight'
            resized[key] = _resize_kernel(weights[key], _convolution(module).kernel_size[0], module)
    for key, value in own.items():
        if resized[key].shape != value.shape:
            raise ValueError(f'the networks differ in more than their scale: {key}')
    network.load_state_dict(resized)


def change_channels(
    architecture: Mapping[str, Any], weights: Mapping[str, Tensor], channels: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Architecture and weights of a network that takes and gives another number of bands.

    Each band gets about the mean of the first layer's kernels, so that their sum stays, and the
    mean of the last layer's: of equal bands the network makes what the other one makes of grey,
    whose channels it averages. Beyond the border that one sees the colour ``rgb_mean``. Of several
    bands every other one is given a mean of 0, and shares that make the same of it; a single one
    has the grey that fits the kernels best, with which results differ a little near the border.

    Args:
        architecture: of a :class:`CSNLNNet`.
        weights: its state dict.
        channels: of the new network.
    """
    first, last = weights['head.0.0.weight'], weights['reconstruct.weight']
    means = torch.tensor(architecture.get('rgb_mean', RGB_MEAN), dtype=first.dtype)
    kernel, dark = first.sum(1), (first * means.view(1, -1, 1, 1)).sum(1)
    grey = float((kernel * dark).sum() / kernel.square().sum().clamp(min=1e-12))
    shares, own_means = (kernel / channels)[:, None].repeat(1, channels, 1, 1), [grey] * channels
    if channels > 1 and grey > 0.1:
        count = len(own_means[::2])
        own_means[::2], own_means[1::2] = [grey * channels / count] * count, [0.0] * (channels // 2)
        shares[:, ::2] = (dark / (grey * channels))[:, None]
        shares[:, 1::2] = (kernel - shares[:, ::2].sum(1))[:, None] / (channels // 2)
    subtracted = (shares * torch.tensor(own_means).view(-1, 1, 1)).sum(1)
    bias = weights['reconstruct.bias'].mean().repeat(channels)
    if not architecture.get('image_skip'):
        bias = bias + means.mean() - torch.tensor(own_means)  # which the network adds
    new = {
        'head.0.0.weight': shares,
        'head.0.0.bias': weights['head.0.0.bias'] + (subtracted - dark).sum((1, 2)),
        'reconstruct.weight': last.mean(0, keepdim=True).repeat(channels, 1, 1, 1),
        'reconstruct.bias': bias,
    }
    sizes = dict(in_channels=channels, out_channels=channels, rgb_mean=own_means)
    return dict(architecture, **sizes), dict(weights, **new)


def _convolution(layers: object) -> nn.Conv2d | nn.ConvTranspose2d:
    """That of a ConvPReLU, Downsample or Upsample."""
    assert isinstance(layers, nn.Sequential)
    layer = layers[0]
    assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    return layer


def _silence(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    nn.init.zeros_(layer.weight)
    _zero_bias(layer)


def _zero_bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def _principal_components(
    network: CSNLNNet, attentions: list[nn.Module], images: Iterable[Tensor]
) -> tuple[Tensor, Tensor]:
    """(mean, [C, C] rows of whitened components, the leading one first) of the attentions' input.

    All attention modules of a stage have the same input.
    """
    inputs = []
    handle = attentions[0].register_forward_pre_hook(
        lambda module, args: inputs.append(args[0].transpose(0, 1).flatten(1))
    )
    try:
        for image in images:
            network(image)
    finally:
        handle.remove()
    pixels = torch.cat(inputs, 1).double()
    mean = pixels.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(pixels))
    values = values.clamp(min=1e-6 * values.max())
    components = (vectors / values.sqrt()).flip(1).T
    return mean.float(), components.float()


def _resize_kernel(kernel: Tensor, size: int, module: Downsample | Upsample) -> Tensor:
    """[O, I, k, k] -> [O, I, size, size], in units of LR pixels."""
    old = kernel.shape[-1]
    factors = {kernel_size: factor for factor, (kernel_size, *_) in KERNELS.items()}
    old_factor, factor = factors[old], factors[size]
    # Where the new taps lie on the old kernel, whose ends are at -1 and 1.
    taps = (torch.arange(size) - (size - 1) / 2) / factor / (old / old_factor / 2)
    grid = torch.stack(torch.meshgrid(taps, taps, indexing='ij')[::-1], -1)[None].to(kernel)
    flat = kernel.flatten(0, 1)[None]
    resized = F.grid_sample(flat, grid, mode='bicubic', padding_mode='border', align_corners=False)
    if isinstance(module, Downsample):
        resized = resized * (old_factor / factor) ** 2
    return resized.view(*kernel.shape[:2], size, size)
