"""The names of results."""

import re
from collections.abc import Callable
from pathlib import Path
from string import Formatter
from typing import NamedTuple

from csnln_mm.errors import UserError
from csnln_mm.images.formats import OUTPUT_FORMATS
from csnln_mm.images.image_data import ImageHeader
from csnln_mm.version import __version__

FIELDS = ('stem', 'model', 'scale', 'width', 'height')
# What this package calls itself in its results, and its notes there.
SOFTWARE = 'csnln-mm'
_NOTE = re.compile(SOFTWARE + r' (\S+), (.+) x\d+')


class Names(NamedTuple):
    """Where results go.

    Attributes:
        out: a folder, or a file for one input; None: beside each input.
        template: of the name below ``out``, without suffix, with fields such as ``{stem}``; None
            for that of the input, with ``label`` where results lie beside their inputs.
        label: such as 'x2'.
        values: what all fields but ``stem`` are for an image.
    """

    out: Path | None = None
    template: str | None = None
    label: str = ''
    values: Callable[[ImageHeader], dict[str, str]] = lambda header: {}

    def fill(self, stem: str, header: ImageHeader | None) -> str:
        """The name of a result, without suffix."""
        if self.template is None:
            return stem if self.out is not None else f'{stem}_{self.label}'
        return self.template.format(stem=stem, **self.values(header or ImageHeader((1, 1))))


def split_template(out: str | Path | None, suffix: str) -> tuple[Path | None, str | None, str]:
    """Split an output with fields such as {model} into folder, template and suffix.

    The template begins with the first field: ``large/{model}`` names folders, ``large/{stem}_x2``
    and ``large/{stem}.webp`` name files.
    """
    if out is None:
        return None, None, suffix
    out = Path(out).expanduser()
    fixed = next((i for i, part in enumerate(out.parts) if '{' in part), len(out.parts))
    if fixed == len(out.parts) or out.exists():
        return out, None, suffix
    template = Path(*out.parts[fixed:])
    if template.suffix.lower() in OUTPUT_FORMATS:
        template, suffix = template.with_suffix(''), template.suffix
    elif '{stem}' not in template.name:
        template /= '{stem}'
    return Path(*out.parts[:fixed]), str(template), suffix


def check_template(template: str) -> set[str]:
    """Check a template, and return its fields.

    Raises:
        UserError: if it has others than :data:`FIELDS`, or leads out of the folder.
    """
    fields = '{' + '}, {'.join(FIELDS) + '}'
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(f'name {template}: {error}; fields are {fields}') from error
    named = {field for _, field, _, _ in parts if field is not None}
    if any(spec or conversion for _, _, spec, conversion in parts) or not named <= set(FIELDS):
        raise UserError(f'name {template}: fields are {fields}')
    if Path(template).is_absolute() or '..' in Path(template).parts or not Path(template).name:
        raise UserError(f'name {template}: it has to lie within the output folder')
    return named


def software_note(model: str, factor: int) -> str:
    """The note in results that names their model."""
    return f'{SOFTWARE} {__version__}, {model} x{factor}'


def made_by(software: str) -> tuple[str, str]:
    """Parse the note of a result: the model, '' if none, and a phrase on who made it."""
    note = _NOTE.fullmatch(software)
    if note:
        return note[2], f'made by {note[2]}, {SOFTWARE} {note[1]}'
    return '', f'made by {software}' if software else ''
