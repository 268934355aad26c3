"""Formats of images that are not read: told by name, with what to do, in place of a riddle."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from csnln_mm.errors import UserError

_CONVERT = 'convert it to PNG or JPEG first'
_DEVELOP = 'develop it to TIFF or PNG first'

# Of cameras. Many are TIFF inside, with a thumbnail that Pillow would take for the photograph.
_RAW_SUFFIXES = frozenset(
    '.3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mrw .nef .nrw .orf .pef .raf .raw .rw2 '
    '.rwl .sr2 .srf .srw .x3f'.split()
)
_OTHERS = {
    '.heic': 'HEIC',
    '.heif': 'HEIC',
    '.hif': 'HEIC',
    '.avif': 'AVIF',
    '.jxl': 'JPEG XL',
    '.jp2': 'JPEG 2000',
    '.gif': 'GIF',
    '.psd': 'Photoshop',
    '.exr': 'OpenEXR',
}
FOREIGN_SUFFIXES = _RAW_SUFFIXES | _OTHERS.keys()

# The first bytes, of those that do not begin like another format.
_SIGNATURES = {
    b'\xff\x0a': 'JPEG XL',
    b'\0\0\0\x0cJXL \r\n\x87\n': 'JPEG XL',
    b'\0\0\0\x0cjP  \r\n\x87\n': 'JPEG 2000',
    b'GIF8': 'GIF',
    b'8BPS': 'Photoshop',
    b'\x76\x2f\x31\x01': 'OpenEXR',
}
# What follows the length and 'ftyp' in files that are made like MP4.
_BRANDS = {b'avif': 'AVIF', b'avis': 'AVIF', b'crx ': 'raw'} | dict.fromkeys(
    (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'), 'HEIC'
)
_READ_ANYWAY = (b'\xff\xd8\xff', b'\x89PNG')


def check_not_foreign(file: BinaryIO, name: str | Path) -> None:
    """Raise UserError if a file is an image of a format that is known, but not read.

    By content, and raw files by name as well, since many begin like a TIFF. The position in the
    file is kept.
    """
    start = file.tell()
    head = file.read(16)
    file.seek(start)
    kind = _BRANDS.get(head[8:12], '') if head[4:8] == b'ftyp' else ''
    for signature, kind_of_signature in _SIGNATURES.items():
        if head.startswith(signature):
            kind = kind_of_signature
    if Path(name).suffix.lower() in _RAW_SUFFIXES and not head.startswith(_READ_ANYWAY):
        kind = 'raw'
    if kind == 'raw':
        raise raw_file(name)
    if kind:
        raise UserError(f'{name} is {kind}, which is not read; {_CONVERT}')


def raw_file(name: str | Path) -> UserError:
    """The error about a camera's raw file."""
    return UserError(f"{name} is a camera's raw file, which is not read; {_DEVELOP}")


def describe_foreign(counts: Mapping[str, int]) -> str:
    """Such as '3 .cr2 (raw; develop them to TIFF or PNG first), 1 .heic (convert it ...)'."""
    about = []
    for suffix, count in sorted(counts.items()):
        advice = f'raw; {_DEVELOP}' if suffix in _RAW_SUFFIXES else _CONVERT
        if count > 1:
            advice = advice.replace(' it ', ' them ')
        about.append(f'{count} {suffix} ({advice})')
    return ', '.join(about)
