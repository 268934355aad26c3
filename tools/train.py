#!/usr/bin/env python
"""Train a model as a config says."""

import argparse

from csnln_mm.cli import arguments as cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file, e.g. configs/csnln_x2_div2k.py')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the newest whole checkpoint in the work directory, if there is one; a '
        'process that torchrun starts again does so by itself',
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
    cli.add_config_options(parser)
    cli.add_launcher_options(parser)
    args = parser.parse_args()

    from csnln_mm.mmagic.runner import build_train_runner, load_config
    from csnln_mm.mmagic.training import run_training

    cfg = load_config(
        args.config, options=args.cfg_options, work_dir=args.work_dir, launcher=cli.launcher(args)
    )
    runner = build_train_runner(
        cfg,
        resume=args.resume or cli.is_restarted(),
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
    )
    run_training(runner)


if __name__ == '__main__':
    cli.run(main)
