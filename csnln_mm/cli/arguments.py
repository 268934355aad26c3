"""Arguments that several commands share."""

import argparse
import ast
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csnln_mm.errors import UserError
from csnln_mm.files import check_folder
from csnln_mm.installed_configs import config_path
from csnln_mm.launchers import LAUNCHERS
from csnln_mm.shard import shard_of_process

# What uses each launcher.
_TOOLS = dict(
    pytorch='tools/dist_train.sh or dist_test.sh',
    slurm='tools/slurm_train.sh or slurm_test.sh',
    mpi='mpirun',
)


def check_data(args: argparse.Namespace) -> None:
    """Say at once, before the seconds that MMagic's imports take, that there are no test sets.

    Raises:
        UserError: if the config is one of the package's, and data/ is missing.
    """
    if args.cfg_options or Path('data').exists():
        return
    try:
        ours = Path(config_path(Path(args.config).name))
    except UserError:
        return  # a config of one's own may name other folders
    if not Path(args.config).exists() or ours.samefile(args.config):
        raise UserError('there are no test images: data/ does not exist; see csnln prepare')


def at_least_one(text: str) -> int:
    """Type of an argument: an integer of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('must be at least 1')
    return number


def output_file(text: str) -> Path:
    """Type of an argument: a file to write; refuses one that cannot be written."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f'{text} is a folder; name a file')
    output_folder(str(path.parent))
    return path


def output_folder(text: str) -> Path:
    """Type of an argument: a folder to write into; refuses one that cannot be written."""
    path = Path(text)
    try:
        check_folder(path)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def named_paths(texts: Sequence[str], what: str) -> dict[str, str]:
    """Map names to paths, given as NAME=PATH, or as a PATH that gives its name.

    Raises:
        UserError: if two have the same name; ``what`` is the plural noun for them.
    """
    paths: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition('=')
        if not equals or Path(text).exists():
            name, path = Path(text).resolve().name, text
            name = Path(name).stem if Path(path).is_file() else name
        if name in paths:
            raise UserError(f'two {what} are named {name}; name them as NAME={path}')
        paths[name] = path
    return paths


def network(checkpoint: str | Path | None, config: str | None, settings: Sequence[str] = ()) -> Any:
    """Load what a checkpoint and ``--config`` or ``--settings`` name, for ``Upscaler``."""
    if settings:
        from csnln_mm.checkpoints import load_network

        if config:
            raise UserError('--settings are instead of --config; give one or the other')
        return load_network(str(checkpoint), settings=read_settings(settings))
    if config is None:
        return checkpoint
    from csnln_mm.mmagic.generator import load_generator

    return load_generator(config, str(checkpoint))


def read_settings(entries: Sequence[str]) -> dict[str, Any]:
    """Parse ``--settings``: numbers, True, False, None or all, and lists as 1,3; else UserError."""
    words = {'true': True, 'false': False, 'none': None, 'all': None}
    settings: dict[str, Any] = {}
    for entry in entries:
        key, equals, text = entry.partition('=')
        try:
            value = words[text.lower()] if text.lower() in words else ast.literal_eval(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            equals = ''
        if not key or not equals:
            raise UserError(f'--settings: expected KEY=VALUE, such as image_skip=True, got {entry}')
        if key == 'attention_recurrences' and isinstance(value, int):
            value = [value]
        settings[key] = list(value) if isinstance(value, tuple) else value
    return settings


class _Range(argparse.Action):
    """Parse two numbers or a word; further values are inputs, if the command has inputs."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        count = 1 if values[0] in ('full', 'data') else 2
        others = values[count:]
        try:
            chosen = values[0] if count == 1 else tuple(float(value) for value in values[:2])
        except ValueError:
            chosen = ()
        if chosen == () or len(chosen) < 2 or (others and not hasattr(namespace, 'input')):
            raise argparse.ArgumentError(self, 'expected LOW HIGH, full or data')
        setattr(namespace, self.dest, chosen)
        if others:
            namespace.input = [*namespace.input, *others]


class _CfgOptions(argparse.Action):
    """MMEngine's ``DictAction``, imported when the option is used."""

    def __call__(self, *args: Any) -> None:
        from mmengine.config import DictAction

        try:
            DictAction(self.option_strings, self.dest, nargs=self.nargs)(*args)
        except (AssertionError, ValueError) as error:
            raise argparse.ArgumentError(
                self, 'expected KEY=VALUE with balanced brackets'
            ) from error


_SHARED: dict[str, dict[str, Any]] = {
    'config': dict(help='config file, e.g. configs/csnln_x2_div2k.py'),
    'checkpoint': dict(
        nargs='?',
        help='checkpoint file, or a model of the package; none for configs without weights',
    ),
    '--config': dict(
        metavar='FILE',
        help='config file, for a checkpoint without one, or a network with parts of your own',
    ),
    '--verbose': dict(
        action='store_true', help='print everything that the log file has, and its warnings'
    ),
    '--settings': dict(
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='instead of --config, what the tensors of such a checkpoint do not show, such as '
        'image_skip=True recurrence_skip=False; a message names what is needed',
    ),
    '--device': dict(help='cpu or cuda:1, for example (default: cuda if available)'),
    '--shard': dict(
        metavar='K/N',
        default='auto',
        help='take a share of the images only, such as 3/8; 1/1 for all (default: the share that '
        'torchrun, srun, mpirun or a job array of Slurm gives this process)',
    ),
    '--format': dict(choices=('text', 'markdown'), default='text', help='default: text'),
    '--range': dict(
        nargs='+',
        action=_Range,
        metavar=('LOW', 'HIGH'),
        help='values that are black and white, such as 0 4095; full: all that the type can hold; '
        'data: of each band what nearly all pixels have (default: all of 8 bits; of others what '
        'the file says, else what the image shows)',
    ),
    '--bands': dict(
        metavar='4,3,2+8',
        help='bands to use, in this order: here bands 4, 3 and 2 together as colour, and 8 as '
        'grey (default: all, as colour where the file says so, others as grey)',
    ),
    '--work-dir': dict(
        metavar='DIR', help='folder for logs, checkpoints and images (default: work_dirs/CONFIG)'
    ),
    '--cfg-options': dict(
        nargs='+',
        action=_CfgOptions,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_dataloader.batch_size=4 or '
        'model.generator.with_cp=True; lists as key="[a,b]" or key=a,b',
    ),
    '--launcher': dict(
        choices=['none', *LAUNCHERS],
        default='none',
        help='how this process was started; the .sh scripts set it',
    ),
    # torchrun sets a variable, older launchers this argument.
    '--local_rank': dict(type=int, default=0, help=argparse.SUPPRESS),
}
_OTHER_NAMES = {'--verbose': ['-v'], '--local_rank': ['--local-rank']}


def add_shared(parser: argparse._ActionsContainer, *names: str, **changed: Any) -> None:
    """Add arguments that several commands share, by name; ``changed`` overrides settings."""
    for name in names:
        others = _OTHER_NAMES.get(name, [])
        parser.add_argument(*others, name, **{**_SHARED[name], **changed})


def detect_launcher(args: argparse.Namespace) -> None:
    """Where none is named, name the launcher that started this process as one of several."""
    shard = shard_of_process(1)
    if args.launcher != 'none' or shard.count == 1:
        return
    args.launcher = next(n for n, names in LAUNCHERS.items() if names.rank == shard.origin)
    if shard.index == 0:
        print(f'{shard.count} processes share the images, by {shard.origin}', flush=True)


def launcher(args: argparse.Namespace) -> str:
    """Return ``--launcher`` and set LOCAL_RANK; UserError if it did not start this process."""
    if args.launcher != 'none':
        variable = LAUNCHERS[args.launcher].rank
        if variable not in os.environ:
            raise UserError(
                f'--launcher {args.launcher}: this process was not started by it '
                f'({variable} is not set); use {_TOOLS[args.launcher]}'
            )
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args.launcher


def quality(text: str) -> int:
    """The type of an option: a quality of JPEG or WebP."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f'expected a number from 1 to 100, got {text}')
    return int(text)
