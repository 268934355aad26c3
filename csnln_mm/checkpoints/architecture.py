"""The config that a checkpoint carries, read without running it."""

import ast
from typing import Any

from csnln_mm.errors import UserError

__all__ = ['read_embedded_model_config']


def read_embedded_model_config(checkpoint: Any, path: str) -> dict:
    """The ``model`` of the config that MMEngine saved in a checkpoint's ``meta['cfg']``.

    MMEngine would read that text by running it as Python. Here it is data: only ``dict(...)``,
    lists, tuples and constants are understood.

    Args:
        checkpoint: what the file holds.
        path: of the file, for messages.

    Raises:
        UserError: if there is no config, or its model is more than plain data.
    """
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
