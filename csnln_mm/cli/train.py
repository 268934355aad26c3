"""Train a model from a config.

examples:
  csnln train configs/csnln_x2_demo.py
  csnln train configs/csnln_x4_div2k.py --resume
  csnln train configs/csnln_x2_div2k.py --lq photos/LR --gt photos/HR --weights csnln_x2.pth
  tools/dist_train.sh configs/csnln_x4_div2k.py 8
"""

import argparse
import os
import signal
from pathlib import Path

from csnln_mm.cli import arguments
from csnln_mm.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_shared(parser, 'config')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest valid checkpoint in the work directory, or start if there is '
        'none; processes that torchrun restarts always do',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on CUDA, bfloat16 elsewhere'
    )
    text = 'scale the learning rate with the samples per step, over all processes'
    parser.add_argument('--auto-scale-lr', action='store_true', help=text)
    parser.add_argument(
        '--check',
        action='store_true',
        help='check config, images, checkpoint and work directory, then exit; the .sh scripts do '
        'so once before they start several processes',
    )
    _add_own_images(parser)
    arguments.add_shared(
        parser, '--work-dir', '--cfg-options', '--launcher', '--local_rank', '--verbose'
    )


def _add_own_images(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('images, weights and steps of your own')
    folder = dict(type=Path, metavar='DIR')
    group.add_argument('--gt', **folder, help='folder of ground-truth images')
    text = 'their low-quality images, paired by name (default: made from the ground truths)'
    group.add_argument('--lq', **folder, help=text)
    text = "how to make them: MATLAB's bicubic (default), or Real-ESRGAN's random degradations"
    group.add_argument('--degradation', choices=('bicubic', 'realesrgan'), help=text)
    text = "side of the low-quality patches to train on (default: the config's)"
    group.add_argument('--patch-size', type=arguments.at_least_one, metavar='PIXELS', help=text)
    text = 'pairs to hold out for validation: a number, or a fraction below 1 (default: 0.05)'
    group.add_argument('--val', type=_share, metavar='NUMBER', help=text)
    group.add_argument('--val-gt', **folder, help='validate on the images in this folder instead')
    group.add_argument('--val-lq', **folder, help='their low-quality images')
    arguments.add_shared(group, '--range', '--bands')
    text = 'start from this checkpoint or model of the package, and train its network'
    group.add_argument('--weights', metavar='NAME|FILE', help=text)
    text = 'train for N steps, with the learning rate schedule scaled to them'
    group.add_argument('--steps', type=arguments.at_least_one, metavar='N', help=text)


def run(args: argparse.Namespace) -> None:
    _check_own_images(args)
    # Until the first step, Control-C ends the process at once, as SIGTERM does: an import in some
    # library could swallow the exception.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from csnln_mm.mmagic import own_images
    from csnln_mm.mmagic.config import apply_cfg_options, load_config
    from csnln_mm.mmagic.run_state import tell_job_script
    from csnln_mm.mmagic.runner import build_train_runner, check_training
    from csnln_mm.mmagic.terminal import quiet
    from csnln_mm.mmagic.training import run_training

    if not args.verbose:
        quiet()
    cfg = load_config(args.config, launcher=arguments.launcher(args))
    if args.weights:
        own_images.set_weights(cfg, args.weights)
    options = args.cfg_options or {}
    if args.gt:
        # What they say of the network says which images it takes.
        of_network = {key: x for key, x in options.items() if key.startswith('model.generator.')}
        apply_cfg_options(cfg, of_network)
        own_images.set_images(
            cfg,
            args.gt,
            args.lq,
            degradation=args.degradation or 'bicubic',
            patch_size=args.patch_size,
            validation=args.val or 0.05,
            val_gt=args.val_gt,
            val_lq=args.val_lq,
            value_range=args.range,
            bands=args.bands,
        )
    if args.steps:
        own_images.set_steps(cfg, args.steps)
    apply_cfg_options(cfg, options)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    start = dict(
        resume=args.resume or os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') != '0',
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
    )
    if args.check:
        _, found = check_training(cfg, **start)
        tell_job_script('checked', found.content['meta']['iter'] if found.content else 0)
    else:
        run_training(build_train_runner(cfg, quiet=not args.verbose, **start))


def _check_own_images(args: argparse.Namespace) -> None:
    """Raise UserError for options without effect, and for folders that do not exist."""
    if not args.gt:
        for name in 'lq', 'degradation', 'patch_size', 'val', 'val_gt', 'range', 'bands':
            if getattr(args, name) is not None:
                raise UserError(f'--{name.replace("_", "-")} needs --gt DIR')
    if args.lq and args.degradation:
        raise UserError('give either --lq or --degradation: the latter makes low-quality images')
    if args.val_lq and not args.val_gt:
        raise UserError('--val-lq needs --val-gt DIR')
    if args.val_gt and args.val is not None:
        raise UserError('give either --val, to hold out pairs, or --val-gt')
    for name in 'gt', 'lq', 'val_gt', 'val_lq':
        folder = getattr(args, name)
        if folder and not folder.is_dir():
            raise UserError(f'--{name.replace("_", "-")}: {folder} is not a folder')


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number < float('inf') or (number > 1 and number % 1):
        raise argparse.ArgumentTypeError('must be a whole number, or a fraction below 1')
    return number
