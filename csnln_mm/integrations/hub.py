"""Export a model as a folder for the Hugging Face hub."""

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from torch import nn

from csnln_mm.checkpoints.load import FILE_IN_FOLDER
from csnln_mm.checkpoints.network import load_network
from csnln_mm.errors import UserError
from csnln_mm.integrations.safetensors import export_safetensors
from csnln_mm.tables import format_table


def export_hub(
    checkpoint: str | Path,
    folder: str | Path,
    *,
    architecture: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    half: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a model as a folder that the Hugging Face hub accepts.

    It holds ``model.safetensors``, see
    :func:`~csnln_mm.integrations.safetensors.export_safetensors`; ``config.json`` with type and
    arguments of the network; and a model card, ``README.md``. Every command accepts the folder as
    a checkpoint.

    Args:
        checkpoint: as for :func:`~csnln_mm.checkpoints.load_network`.
        folder: to make; its name is that of the model.
        architecture, settings: for files without a config, as for ``load_network``.
        half: write float16.
        metadata: further entries of the weights' metadata. The card shows ``license`` (of SPDX,
            such as Apache-2.0), ``author``, ``description``, ``training_data``, ``training``, and
            ``scores``: JSON of [PSNR in dB, SSIM] on Y by test set, as ``csnln measure --record``
            writes them.

    Returns:
        The folder.

    Raises:
        UserError: if the folder is not empty, ``scores`` are wrong, or for the reasons of
            ``export_safetensors``. Nothing is written then.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f'{folder} exists already; name a new folder')
    partial = folder.with_name(f'.{folder.name}.{os.getpid()}.partial')
    try:
        weights = partial / FILE_IN_FOLDER
        written = export_safetensors(
            checkpoint,
            weights,
            architecture=architecture,
            settings=settings,
            half=half,
            metadata=metadata,
        )
        card = _card(folder.absolute().name, load_network(weights), written, _scores(written))
        # Flat, so that PyTorchModelHubMixin finds the network's arguments.
        config = dict(
            model_type='csnln',
            csnln_mm_version=written['csnln_mm_version'],
            **json.loads(written['architecture']),
        )
        (partial / 'config.json').write_text(json.dumps(config, indent=2) + '\n')
        (partial / 'README.md').write_text(card)
        os.replace(partial, folder)
    except OSError as error:
        raise UserError(f'cannot write {folder}: {error.strerror or error}') from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _card(
    name: str,
    network: nn.Module,
    metadata: Mapping[str, str],
    scores: Mapping[str, tuple[float, float]],
) -> str:
    front: dict[str, Any] = dict(
        library_name='csnln-mm',
        pipeline_tag='image-to-image',
        tags=['super-resolution', 'image-super-resolution', 'csnln'],
    )
    if 'license' in metadata:
        front['license'] = metadata['license'].lower()
    if scores:
        results = [_result(test_set, *score) for test_set, score in scores.items()]
        front['model-index'] = [dict(name=name, results=results)]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    description = (
        f'Upscales RGB images by {network.upscale_factor}: a CSNLN of {network.mid_channels} '
        f'channels and {network.num_recurrences} recurrences, {parameters:,} parameters.'
    )
    facts = {
        'trained on': metadata.get('training_data'),
        'training': metadata.get('training'),
        'iterations': metadata.get('iteration'),
        'made from': metadata.get('source'),
        'by': metadata.get('author'),
        'licence': metadata.get('license', 'not stated'),
    }
    table = ''
    if scores:
        rows = [[name, f'{psnr:.2f}', f'{ssim:.4f}'] for name, (psnr, ssim) in scores.items()]
        table = format_table(['test set', 'PSNR', 'SSIM'], rows, style='markdown')
        table = f'\nPSNR in dB and SSIM, both on Y:\n\n{table}\n'
    template = files('csnln_mm.integrations').joinpath('model_card.md').read_text()
    return Template(template).substitute(
        # JSON is YAML.
        front_matter='\n'.join(f'{key}: {json.dumps(value)}' for key, value in front.items()),
        name=name,
        description='\n\n'.join([description, *filter(None, [metadata.get('description')])]),
        facts='\n'.join(f'| {title} | {text} |' for title, text in facts.items() if text),
        scores=table,
        quoted_folder=shlex.quote(f'{name}/'),
        folder=repr(f'{name}/'),
        scale=network.upscale_factor,
        weights=FILE_IN_FOLDER,
    )


def _result(test_set: str, psnr: float, ssim: float) -> dict[str, Any]:
    """An entry of a card's ``model-index``."""
    return dict(
        task=dict(type='image-to-image', name='Image Super-Resolution'),
        dataset=dict(name=test_set, type=test_set.lower()),
        metrics=[
            dict(type='psnr', name='PSNR (Y)', value=round(psnr, 2)),
            dict(type='ssim', name='SSIM (Y)', value=round(ssim, 4)),
        ],
    )


def _scores(metadata: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    try:
        scores = json.loads(metadata.get('scores', '{}'))
        return {name: (float(psnr), float(ssim)) for name, (psnr, ssim) in scores.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            'the metadata scores must be JSON such as {"Set5": [37.1, 0.958]}, not '
            f'{metadata["scores"]:.100}'
        ) from error
