"""Infer a network from the names and shapes of its weights, and from settings given by the user."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from csnln_mm.errors import UserError
from csnln_mm.networks.fusion import BRANCHES
from csnln_mm.scales import KERNELS

_HEAD, _TAIL, _NEXT = 'head.0.0.weight', 'reconstruct.weight', 'cell.next_input.0.0.weight'
# Of a cell without branches, and of one with them.
_PLAIN = re.compile(r'cell\.plain\.(\d{1,4})\.0\.weight')
_STAGE = re.compile(r'cell\.stages\.(\d{1,4})\.')
_FIRST_STAGE = 'cell.stages.0.'

# Settings that leave no trace in the weights, and whose wrong value gives a wrong image.
_ASKED = dict(image_skip='False', recurrence_skip='False', attention_recurrences='all')


def is_csnln(weights: Mapping[str, Any]) -> bool:
    """Whether keys are those of a :class:`~csnln_mm.networks.CSNLNNet` with a SEM cell."""
    return all(key in weights for key in (_HEAD, _TAIL, _NEXT)) and any(
        _PLAIN.match(str(key)) or _STAGE.match(str(key)) for key in weights
    )


def infer_architecture(
    weights: Mapping[str, Any], path: str, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Infer the config of the CSNLNNet that a state dict belongs to.

    Channels, scale, recurrences, branches, fusion and stages are read from keys and shapes.

    Args:
        weights: of which :func:`is_csnln` holds.
        path: of the file, for messages.
        settings: the settings that weights do not show. ``image_skip``, ``recurrence_skip`` (of
            more than one recurrence) and ``attention_recurrences`` (where attention is optional;
            None: all) must be there, and ``rgb_mean`` unless images have three channels.
            ``rgb_mean`` otherwise, ``patch_size``, ``softmax_scale``, ``divisor`` and
            ``in_scale_grid`` are those of the released model by default.

    Raises:
        UserError: if a setting is missing, naming all that are, or is none of these; or if the
            shapes are of no CSNLNNet.
    """
    head, tail, next_input = (_kernel(weights, key, path) for key in (_HEAD, _TAIL, _NEXT))
    channels, colours = head.shape[:2]
    recurrences, rest = divmod(tail.shape[1], channels)
    factors = {kernel: factor for factor, (kernel, *_) in KERNELS.items()}
    scale = factors.get(next_input.shape[-1])
    if rest or not recurrences:
        raise UserError(
            f'checkpoint {path} is of no CSNLNNet: {_TAIL} has {tail.shape[1]} input channels, not '
            f'a multiple of the {channels} of {_HEAD}'
        )
    if scale is None:
        raise UserError(
            f'checkpoint {path} is of no CSNLNNet: {_NEXT} has a kernel of side '
            f'{next_input.shape[-1]}, not one of {sorted(factors)}'
        )
    cell = _read_cell(weights, scale, channels, path)
    attentions = [branch for branch in cell['branches'] if branch != 'local']
    optional_attention = attentions and 'local' in cell['branches']

    settings = dict(settings or {})
    possible = ['image_skip', 'recurrence_skip', 'rgb_mean']
    required = ['image_skip', *['recurrence_skip'] * (recurrences > 1)]
    if optional_attention:
        possible.append('attention_recurrences')
        required += ['attention_recurrences'] * (recurrences > 1)
    if 'cross_scale' in attentions:
        possible += ['patch_size', 'softmax_scale', 'divisor']
    if 'in_scale' in attentions:
        possible.append('in_scale_grid')
    if colours != 3:
        required.append('rgb_mean')
    shown = (
        f'x{scale}, {channels} channels, recurrences: {recurrences}, '
        f'branches: {", ".join(cell["branches"]) or "none"}'
    )
    missing = [name for name in required if name not in settings]
    if missing:
        example = ' '.join(f'{name}={_ASKED.get(name, "0,...")}' for name in missing)
        raise UserError(
            f'checkpoint {path} carries no config. Its tensors show a CSNLNNet ({shown}), but not '
            f'{", ".join(missing)}: name its config with --config, or say these as in --settings '
            f'{example}; csnln export then writes a file that carries them'
        )
    for name in settings:
        if name not in possible:
            raise UserError(
                f'checkpoint {path} ({shown}): {name!r:.100} is no setting that its tensors leave '
                f'open; these are {", ".join(possible)}'
            )
    for name in 'image_skip', 'recurrence_skip':
        if not isinstance(settings.get(name, False), bool):
            raise UserError(f'{name} must be True or False, got {settings[name]!r:.100}')

    of_attention = {
        name: settings.pop(name)
        for name in ('patch_size', 'softmax_scale', 'divisor')
        if name in settings
    }
    if of_attention:
        cell['cross_scale_attention'] = cell.get('cross_scale_attention', {}) | of_attention
    if 'in_scale_grid' in settings:
        grid = dict(grid=settings.pop('in_scale_grid'))
        cell['in_scale_attention'] = cell.get('in_scale_attention', {}) | grid
    network = dict(
        type='CSNLNNet',
        mid_channels=channels,
        num_recurrences=recurrences,
        upscale_factor=scale,
        cell=cell,
    )
    if colours != 3:
        network |= dict(in_channels=colours, out_channels=colours)
    return network | settings


def _read_cell(weights: Mapping[str, Any], scale: int, channels: int, path: str) -> dict[str, Any]:
    """The arguments of the SEM cell."""
    plain = [key for key in weights if _PLAIN.fullmatch(str(key))]
    if plain:
        return dict(branches=[], num_plain_convs=len(plain) - 1)

    def has(part: str) -> bool:
        return any(str(key).startswith(_FIRST_STAGE + part) for key in weights)

    signs = dict(
        zip(BRANCHES, ('fusion.upsample.', 'in_scale_attention.', 'cross_scale_attention.'))
    )
    branches = [branch for branch, sign in signs.items() if has(sign)]
    attentions = [branch for branch in branches if branch != 'local']
    cell: dict[str, Any] = dict(branches=branches)
    if has('fusion.conv.'):
        cell['fusion'] = dict(type='ConcatenationFusion')
    elif has('fusion.projection.') and not has('fusion.projection.0.'):
        cell['fusion'] = dict(recipe='paper')
    elif (len(attentions) == 2 and not has('fusion.projection.')) or (
        attentions and 'local' in branches and not has('fusion.downsample.')
    ):
        cell['fusion'] = dict(type='AdditionFusion')
    if not attentions:
        return cell
    stages = len({match[1] for key in weights if (match := _STAGE.match(str(key)))})
    factor = round(scale ** (1 / stages))
    if factor**stages != scale:
        raise UserError(f'checkpoint {path} is of no CSNLNNet: x{scale} in {stages} stages')
    cell['stages'] = [factor] * stages
    for branch in attentions:
        query = _kernel(weights, f'{_FIRST_STAGE}{branch}_attention.query.0.weight', path)
        if len(query) != max(1, channels // 2):
            cell[f'{branch}_attention'] = dict(embed_channels=len(query))
    return cell


def _kernel(weights: Mapping[str, Any], key: str, path: str) -> Tensor:
    """The weight of a convolution."""
    weight = weights.get(key)
    if not isinstance(weight, Tensor) or weight.dim() != 4 or 0 in weight.shape:
        raise UserError(f'checkpoint {path} is of no CSNLNNet: {key} is no weight of a convolution')
    return weight
