"""``csnln train``: train a model as a config says."""

import argparse

from csnln_mm.cli import arguments

__all__ = ['HELP', 'add_arguments', 'run']

HELP = """\
Train a model as a config says.

examples:
  csnln train configs/csnln_x2_demo.py
  csnln train configs/csnln_x4_div2k.py --resume
  tools/dist_train.sh configs/csnln_x4_div2k.py 8"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, and how it is trained."""
    parser.add_argument('config', help='config file, e.g. configs/csnln_x2_div2k.py')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest valid checkpoint in the work directory, if there is one; a '
        'process that torchrun restarts does so by itself',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='train in mixed precision: float16 on CUDA, bfloat16 elsewhere',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the samples in a step, over all processes',
    )
    arguments.add_config_options(parser)
    arguments.add_launcher_options(parser)


def run(args: argparse.Namespace) -> int:
    """Train."""
    from csnln_mm.mmagic.config import load_config
    from csnln_mm.mmagic.runner import build_train_runner
    from csnln_mm.mmagic.training import run_training

    cfg = load_config(
        args.config,
        options=args.cfg_options,
        work_dir=args.work_dir,
        launcher=arguments.launcher(args),
    )
    runner = build_train_runner(
        cfg,
        resume=args.resume or arguments.is_restarted(),
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
    )
    run_training(runner)
    return 0
