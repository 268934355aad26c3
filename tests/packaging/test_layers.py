"""The floors of the package: imports go downwards only."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / 'csnln_mm'

# From the ground up; what stands in one line may not import one another.
FLOORS = [
    {'errors', 'limits', 'version', 'compatibility', 'scales', 'launchers'},
    {'files', 'device', 'installed_configs', 'shard', 'tables'},
    {'ops'},
    {'networks'},
    {'images'},
    {'checkpoints'},
    {'datasets', 'upscaling'},
    {'visualization', 'integrations', 'mmagic'},
    {'paper', 'explore'},
    {'cli'},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
OPENMMLAB = {'mmagic', 'mmengine', 'mmcv'}
FILES = sorted(path for path in PACKAGE.rglob('*.py') if '.mim' not in path.parts)


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path):
    """(module, whether it is imported within a function) of all imports of a file."""

    def visit(node, inside):
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            if node.module == 'csnln_mm':
                yield from ((f'csnln_mm.{alias.name}', inside) for alias in node.names)
            else:
                yield node.module, inside
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text()), False)


def test_every_room_has_a_floor():
    assert {room_of(path) for path in FILES} - {'__init__', '__main__'} == set(FLOOR)


def test_imports_go_downwards():
    for path in FILES:
        room = room_of(path)
        for module, _ in imports(path):
            package, _, rest = module.partition('.')
            other = rest.partition('.')[0]
            if package == 'csnln_mm' and other in FLOOR and room in FLOOR and other != room:
                assert FLOOR[other] < FLOOR[room], f'{path} imports {module}'


def test_only_the_wing_knows_openmmlab():
    for path in FILES:
        room = room_of(path)
        if room == 'mmagic' or path.relative_to(PACKAGE) == Path('paper/ablation.py'):
            continue
        for module, inside in imports(path):
            if module.partition('.')[0] in OPENMMLAB or module.startswith('csnln_mm.mmagic'):
                assert room == 'cli' and inside, f'{path} imports {module}'
