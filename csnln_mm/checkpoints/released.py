"""State dicts of the authors' released code, and their names in our network.

The released layout follows from three numbers, the scale, the channels C and the recurrences:
it is written out here once, as a table of layers, and read in either direction.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from csnln_mm.errors import UserError
from csnln_mm.networks.csnln_net import RGB_MEAN

_ESCAPE_NAN = 1e-4


class ReleasedCheckpoint(NamedTuple):
    """A released state dict, translated.

    ``state_dict`` fits ``CSNLNNet(upscale_factor=..., num_recurrences=..., mid_channels=...)``.
    """

    state_dict: dict[str, Tensor]
    upscale_factor: int
    num_recurrences: int
    mid_channels: int

    @property
    def architecture(self) -> dict[str, Any]:
        """The config of that network."""
        return dict(
            type='CSNLNNet',
            mid_channels=self.mid_channels,
            num_recurrences=self.num_recurrences,
            upscale_factor=self.upscale_factor,
            rgb_mean=list(RGB_MEAN),
        )


def is_released(state_dict: dict[str, Any]) -> bool:
    """Whether keys are named as in the released code."""
    return _RELEASED.tail in state_dict


def convert_released_state_dict(state_dict: dict[str, Tensor]) -> ReleasedCheckpoint:
    """Translate the state dict of a released model.

    Keys and shapes determine scale and recurrences.

    Args:
        state_dict: as the released code saves it: names to tensors.

    Returns:
        The translation, with the scale and sizes of the network.

    Raises:
        UserError: if this is not the state dict of a released CSNLN; names the first key that
            is missing, unknown or of another shape.
    """
    scale, channels, recurrences = _measure(state_dict, _RELEASED)
    tensors = list(_tensors(scale, channels, recurrences))
    _check(
        state_dict,
        {released: shape for released, _, shape in tensors},
        f'a released x{scale} CSNLN with {channels} channels and {recurrences} recurrences',
    )
    _check_constants(state_dict)
    return ReleasedCheckpoint(
        {ours: state_dict[released] for released, ours, _ in tensors if ours},
        scale,
        recurrences,
        channels,
    )


def convert_to_released_state_dict(state_dict: dict[str, Tensor]) -> ReleasedCheckpoint:
    """The inverse of :func:`convert_released_state_dict`: from our names to the released code's.

    Args:
        state_dict: of a :class:`~csnln_mm.networks.CSNLNNet` with the released recipe.

    Returns:
        The translation, with the constants that the released code keeps among its weights.

    Raises:
        UserError: if this is not the state dict of such a network; names the first key that is
            missing, unknown or of another shape. Settings that leave no trace in the weights,
            such as the patch size, are the caller's to check.
    """
    scale, channels, recurrences = _measure(state_dict, _OURS)
    tensors = list(_tensors(scale, channels, recurrences))
    _check(
        state_dict,
        {ours: shape for _, ours, shape in tensors if ours},
        f'a x{scale} CSNLN of the released recipe with {channels} channels and {recurrences} '
        'recurrences',
    )
    return ReleasedCheckpoint(
        {
            released: state_dict[ours] if ours else _constant(released)
            for released, ours, _ in tensors
        },
        scale,
        recurrences,
        channels,
    )


class _Naming(NamedTuple):
    """The keys that determine scale, channels and recurrences in a state dict."""

    title: str
    head: str
    tail: str
    downsample: str
    second_stage: str  # prefix of keys


_RELEASED = _Naming(
    'a released CSNLN',
    'head.0.0.weight',
    'tail.0.weight',
    'SEM.down_sample_1.0.weight',
    'SEM.multi_source_projection_2.',
)
_OURS = _Naming(
    'a CSNLN of the released recipe',
    'head.0.0.weight',
    'reconstruct.weight',
    'cell.stages.0.fusion.downsample.0.weight',
    'cell.stages.1.',
)


def _measure(state_dict: dict[str, Tensor], naming: _Naming) -> tuple[int, int, int]:
    """(scale, channels, recurrences), from the shapes of some tensors."""
    if not isinstance(state_dict, dict):
        raise UserError(f'not {naming.title}: not a state dict but a {type(state_dict).__name__}')
    probes = naming.head, naming.tail, naming.downsample
    for key in probes:
        if key not in state_dict:
            first = next(iter(state_dict), None)
            raise UserError(
                f'not {naming.title}: it lacks the key {key!r}'
                + (f', and begins with {first!r}' if first else ' and is empty')
            )
        weight = state_dict[key]
        if not isinstance(weight, Tensor) or weight.dim() != 4 or not len(weight):
            raise UserError(f'not {naming.title}: {key!r} is not the weight of a convolution')
    head, tail, down = (state_dict[key] for key in probes)
    channels = head.shape[0]
    if tail.shape[1] % channels:
        raise UserError(
            f'{naming.tail!r} has {tail.shape[1]} input channels, not a multiple of '
            f'the {channels} of the hidden states'
        )
    two_stages = any(str(key).startswith(naming.second_stage) for key in state_dict)
    scales = {6: 4 if two_stages else 2, 9: 3}
    if down.shape[-1] not in scales:
        raise UserError(
            f'{naming.downsample!r} has a kernel of side {down.shape[-1]}, not 6 (x2 '
            'and x4) or 9 (x3)'
        )
    return scales[down.shape[-1]], channels, tail.shape[1] // channels


def _check(state_dict: dict[str, Tensor], expected: dict[str, tuple[int, ...]], what: str) -> None:
    """Raise UserError unless a state dict has just these tensors of these shapes."""
    for key, value in state_dict.items():
        if key not in expected:
            raise UserError(f'unknown key {key!r}: not {what}')
        if not isinstance(value, Tensor):
            raise UserError(f'{key!r} is not a tensor but a {type(value).__name__}')
        if tuple(value.shape) != expected[key]:
            raise UserError(f'{key!r} has shape {tuple(value.shape)}, {what} has {expected[key]}')
    for key in expected:
        if key not in state_dict:
            raise UserError(f'missing key {key!r} of {what}')


def _tensors(
    scale: int, channels: int, recurrences: int
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Every tensor as (released key, our key or '' where we have none, shape)."""
    for mean in 'sub_mean', 'add_mean':
        yield f'{mean}.weight', '', (3, 3, 1, 1)
        yield f'{mean}.bias', '', (3,)
    for stage in range(2 if scale == 4 else 1):
        suffix = '_2' if stage else ''
        yield f'SEM.multi_source_projection{suffix}.up_attention.escape_NaN', '', (1,)

    def conv(
        released: str,
        ours: str,
        kernel: int,
        inputs: int = channels,
        outputs: int = channels,
        prelu: bool = True,
    ) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """A convolution, transposed or not, alone or as the first of a sequence with a PReLU."""
        first, shape = '.0' if prelu else '', (outputs, inputs, kernel, kernel)
        yield f'{released}{first}.weight', f'{ours}{first}.weight', shape
        yield f'{released}{first}.bias', f'{ours}{first}.bias', (outputs,)
        if prelu:
            yield f'{released}.1.weight', f'{ours}.1.weight', (1,)

    yield from conv('head.0', 'head.0', 3, inputs=3)
    yield from conv('head.1', 'head.1', 3)
    stages = [2, 2] if scale == 4 else [scale]
    for i, stage in enumerate(stages):
        suffix = '_2' if i else ''
        theirs = f'SEM.multi_source_projection{suffix}'
        ours = f'cell.stages.{i}'
        for attention, name, match in (
            ('up_attention', 'cross_scale_attention', 'conv_match_'),
            ('down_attention', 'in_scale_attention', 'conv_match'),
        ):
            for their_part, part, outputs in (
                (f'{match}1', 'query', channels // 2),
                (f'{match}2', 'key', channels // 2),
                ('conv_assembly', 'value', channels),
            ):
                their_name = f'{theirs}.{attention}.{their_part}'
                yield from conv(their_name, f'{ours}.{name}.{part}', 1, outputs=outputs)
        yield from conv(f'{theirs}.upsample', f'{ours}.in_scale_upsample', 3 * stage)
        yield from conv(f'{theirs}.encoder.body', f'{ours}.fusion.projection', 3)
        yield from conv(f'{theirs}.encoder.body.2', f'{ours}.fusion.projection.2', 3, prelu=False)
        # Back-projection: stage 2 of x4 compares with the LR features, across both stages.
        kernel = 8 if i else 3 * stage
        down = 'SEM.down_sample_3' if i else 'SEM.down_sample_1'
        yield from conv(down, f'{ours}.fusion.downsample', kernel)
        yield from conv(f'SEM.error_encode{suffix}', f'{ours}.fusion.upsample', kernel)
    down = 'SEM.down_sample_4' if scale == 4 else 'SEM.down_sample_2'
    yield from conv(down, 'cell.next_input.0', 8 if scale == 4 else 3 * scale)
    yield from conv('SEM.post_conv', 'cell.next_input.1', 3)
    states = channels * recurrences
    yield from conv('tail.0', 'reconstruct', 3, inputs=states, outputs=3, prelu=False)


def _check_constants(state_dict: dict[str, Tensor]) -> None:
    """The mean shifts are parameters there and constants here: they must be what we assume."""
    mean = torch.tensor(RGB_MEAN)
    for name, sign in ('sub_mean', -1), ('add_mean', 1):
        weight = state_dict[f'{name}.weight'].float().reshape(3, 3)
        bias = state_dict[f'{name}.bias'].float()
        if not torch.allclose(weight, torch.eye(3)) or not torch.allclose(
            bias, sign * mean, atol=1e-4
        ):
            raise UserError(f'{name!r} does not shift RGB in 0..1 by {sign} x {RGB_MEAN}')


def _constant(key: str) -> Tensor:
    """A tensor that the released code keeps among its weights and never trains."""
    if key.endswith('escape_NaN'):
        return torch.tensor([_ESCAPE_NAN])
    if key.endswith('.weight'):
        return torch.eye(3).view(3, 3, 1, 1)
    return torch.tensor(RGB_MEAN) * (-1 if key.startswith('sub_mean') else 1)
