"""Which network a checkpoint is of: the config that it carries, read without running it."""

import ast
from typing import Any

from csnln_mm.checkpoints.released import RGB_MEAN
from csnln_mm.errors import UserError

__all__ = ['check_settings', 'differences', 'read_architecture']


# A checkpoint chooses among these types alone; an ``init_cfg`` in it may name further files.
_TYPES = {
    'AdditionFusion',
    'CSNLNNet',
    'ConcatenationFusion',
    'CrossScaleNonLocalAttention',
    'InScaleNonLocalAttention',
    'MutualProjectedFusion',
    'SEMCell',
}
# What no size in such a config exceeds: layers are made one by one before they are compared.
_LARGEST = 4096


def read_architecture(checkpoint: Any, path: str) -> dict:
    """The config of the network that a checkpoint is of, safe to build.

    MMEngine saves the config of a training run in ``meta['cfg']``, and reads that text by running
    it as Python. Here it is data: only ``dict(...)``, lists, tuples and constants are understood,
    and of the model only its ``generator``.

    Args:
        checkpoint: what the file holds.
        path: of the file, for messages.

    Raises:
        UserError: if there is no config, or it is not of this package's networks.
    """
    model = _read_model(checkpoint, path)
    generator = model.get('generator')
    if not isinstance(generator, dict):
        raise UserError(
            f'the config in checkpoint {path} has no generator; give a config that you trust'
        )
    _check(generator, path)
    return generator


def _read_model(checkpoint: Any, path: str) -> dict:
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise UserError(f'checkpoint {path} carries no config; give one')
    try:
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == 'model'
                for target in statement.targets
            ):
                model = _evaluate(statement.value)
                if isinstance(model, dict):
                    return model
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(
            f'the config in checkpoint {path} is refused: {error}; give one that you trust'
        ) from error
    raise UserError(f'the config in checkpoint {path} has no model; give one')


def _check(value: Any, path: str) -> None:
    if isinstance(value, dict):
        value.pop('init_cfg', None)
        if 'type' in value and str(value['type']) not in _TYPES:
            raise UserError(
                f'the config in checkpoint {path} is refused: it builds a '
                f'{value["type"]!r:.100}; give one that you trust'
            )
    if isinstance(value, int) and value > _LARGEST:
        raise UserError(
            f'the config in checkpoint {path} is refused: {value} is a size beyond '
            f'{_LARGEST}; give one that you trust'
        )
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, path)


def _evaluate(node: ast.AST) -> Any:
    """Like :func:`ast.literal_eval`, which does not know ``dict(key=value)``."""
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id != 'dict' or node.args:
            raise ValueError(f'line {node.lineno} calls a function')
        return {_keyword(item): _evaluate(item.value) for item in node.keywords}
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError(f'line {node.lineno} unpacks a dict')
        return {_evaluate(key): _evaluate(value) for key, value in zip(node.keys, node.values)}
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_evaluate(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    return ast.literal_eval(node)


def _keyword(item: ast.keyword) -> str:
    if item.arg is None:
        raise ValueError(f'line {item.value.lineno} unpacks a dict')
    return item.arg


def check_settings(checkpoint: Any, generator: dict, path: str) -> None:
    """Raise UserError if a checkpoint was trained with other settings than a config has.

    Of the network's scale and size, which say more than the tensor that does not fit, and of
    settings that leave no trace in the weights. Checkpoints that carry no config, or not of a
    CSNLNNet, pass.

    Args:
        checkpoint: what the file holds.
        generator: the config's ``model.generator``.
        path: of the file.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict) or 'cfg' not in meta:
        return
    try:
        trained = _read_model(checkpoint, path).get('generator', {})
    except UserError:
        # A config of another kind: there is nothing to compare.
        return
    if {trained.get('type'), generator.get('type')} != {'CSNLNNet'}:
        return
    difference = _difference(_sizes(trained), _sizes(generator)) or differences(trained, generator)
    if difference:
        raise UserError(f'checkpoint {path} does not fit the config: {difference}')


def differences(trained: dict, wanted: dict) -> str:
    """The first setting in which two configs of a CSNLNNet differ, '' if none.

    Of those that leave no trace in the weights: they fit, and the images are wrong.

    Args:
        trained: the one that the weights were trained with.
        wanted: the one that they shall be used with.
    """
    return _difference(_settings(trained), _settings(wanted))


def _difference(trained: dict, wanted: dict) -> str:
    for name, value in trained.items():
        if value != wanted[name]:
            return f'it was trained with {name}={value}, not {wanted[name]}'
    return ''


def _sizes(generator: dict) -> dict[str, Any]:
    defaults = dict(upscale_factor=2, mid_channels=128, num_recurrences=12)
    return {name: generator.get(name, default) for name, default in defaults.items()}


def _settings(generator: dict) -> dict[str, Any]:
    cell = generator.get('cell') or {}
    return dict(
        image_skip=bool(generator.get('image_skip', False)),
        rgb_mean=tuple(generator.get('rgb_mean', RGB_MEAN)),
        attention_recurrences=generator.get('attention_recurrences'),
        patch_size=cell.get('patch_size', 3),
        in_scale_grid=tuple(cell.get('in_scale_grid') or (1, 1)),
    )
