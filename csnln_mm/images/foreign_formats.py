"""Recognise formats that are not read, or only by a plugin, and say what to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from csnln_mm.errors import UserError
from csnln_mm.images.formats import has_plugin, how_to_read

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
    '.jxl': 'JPEG XL',
    '.psd': 'Photoshop',
    '.exr': 'OpenEXR',
    '.ico': 'a Windows icon',
    '.jxr': 'JPEG XR',
    '.dcm': 'DICOM',
    '.nii': 'NIfTI',
    '.fits': 'FITS',
    '.svg': 'SVG',
}
_TO_TIFF = 'convert it to TIFF first'
# Where it is not _CONVERT.
_ADVICE = dict.fromkeys(('DICOM', 'NIfTI', 'FITS', 'HDF5', 'PFM', 'OpenEXR'), _TO_TIFF) | {
    'SVG': 'draw it in the size that you need instead',
    'PDF': 'extract its images first',
    'an archive': 'unpack it first',
    'a video': 'ffmpeg writes its frames to stdin',
}
# By the name that Pillow's plugins have.
_BY_PLUGIN = {'HEIC': 'HEIF', 'JPEG XL': 'JXL'}
FOREIGN_SUFFIXES = _RAW_SUFFIXES | {
    suffix
    for suffix, kind in _OTHERS.items()
    if kind not in _BY_PLUGIN or not has_plugin(_BY_PLUGIN[kind])
}

# The first bytes, of those that do not begin like another format.
_SIGNATURES = {
    b'\xff\x0a': 'JPEG XL',
    b'\0\0\0\x0cJXL \r\n\x87\n': 'JPEG XL',
    b'8BPS': 'Photoshop',
    b'\x76\x2f\x31\x01': 'OpenEXR',
    b'\0\0\1\0': 'a Windows icon',
    b'#?RADIANCE': 'Radiance HDR',
    b'II\xbc': 'JPEG XR',
    b'\x5c\x01\0\0': 'NIfTI',
    b'\0\0\x01\x5c': 'NIfTI',
    b'SIMPLE  =': 'FITS',
    b'\x89HDF': 'HDF5',
    b'PF\n': 'PFM',
    b'Pf\n': 'PFM',
    b'<svg': 'SVG',
    b'%PDF': 'PDF',
    b'%!PS': 'PostScript',
    b'\x1f\x8b': 'an archive',
    b'PK\3\4': 'an archive',
    b'\x1aE\xdf\xa3': 'a video',
}
# What follows the length and 'ftyp' in files that are made like MP4.
_BRANDS = {b'crx ': 'raw'} | dict.fromkeys(
    (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'), 'HEIC'
)
# Markers of their frames, the last of JPEG-LS.
_LOSSLESS_JPEG = 0xC3, 0xC7, 0xCB, 0xCF, 0xF7
_READ_ANYWAY = (b'\xff\xd8\xff', b'\x89PNG')


def identify(file: BinaryIO, name: str | Path) -> str | None:
    """Identify a file that a plugin of Pillow reads: its format; None for all others.

    By content, and raw files by name as well, since many begin like a TIFF. The position in the
    file is kept.

    Raises:
        UserError: if the format is known but not supported, or needs a plugin that is missing.
    """
    start = file.tell()
    head = file.read(132)
    file.seek(start)
    kind = ''
    if head.startswith(b'\xff\xd8'):
        kind = _unusual_jpeg(file)
        file.seek(start)
    if head[4:8] == b'ftyp':
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(64, head[3]), 4))]
        kind = _BRANDS.get(head[8:12], 'a video' if b'isom' in brands or b'mp42' in brands else '')
        # The general brand, of which AVIF is a case.
        if kind and not {b'avif', b'avis'}.isdisjoint(brands):
            return None
    for signature, kind_of_signature in _SIGNATURES.items():
        if head.startswith(signature):
            kind = kind_of_signature
    if head[128:] == b'DICM':
        kind = 'DICOM'
    if Path(name).suffix.lower() in _RAW_SUFFIXES and not head.startswith(_READ_ANYWAY):
        kind = 'raw'
    if kind == 'raw':
        raise raw_file(name)
    if kind in _BY_PLUGIN:
        plugin = _BY_PLUGIN[kind]
        if not has_plugin(plugin):
            raise UserError(f'{name} is {kind}; {how_to_read(plugin)} to read it, or {_CONVERT}')
        return plugin
    if kind:
        raise UserError(f'{name} is {kind}, which is not read; {_ADVICE.get(kind, _CONVERT)}')
    return None


def _unusual_jpeg(file: BinaryIO) -> str:
    """Describe a kind of JPEG that Pillow does not read; '' for the others."""
    file.seek(2)
    while len(segment := file.read(4)) == 4 and segment[0] == 0xFF != segment[1]:
        if segment[1] in _LOSSLESS_JPEG:
            return 'a lossless JPEG'
        # Of the other frames; among their numbers are those of tables.
        if 0xC0 <= segment[1] <= 0xCF and segment[1] not in (0xC4, 0xC8, 0xCC):
            bits = file.read(1)
            return f'a JPEG of {bits[0]} bits' if bits > b'\x08' else ''
        file.seek(int.from_bytes(segment[2:], 'big') - 2, 1)
    return ''


def raw_file(name: str | Path) -> UserError:
    """The error about a camera's raw file."""
    return UserError(f"{name} is a camera's raw file, which is not read; {_DEVELOP}")


def describe_foreign(counts: Mapping[str, int]) -> str:
    """Such as '3 .cr2 (raw; develop them to TIFF or PNG first), 1 .heic (convert it ...)'."""
    about = []
    for suffix, count in sorted(counts.items()):
        kind = _OTHERS.get(suffix, '')
        advice = f'raw; {_DEVELOP}' if suffix in _RAW_SUFFIXES else _ADVICE.get(kind, _CONVERT)
        plugin = _BY_PLUGIN.get(kind)
        if plugin:
            advice = f'{how_to_read(plugin)}, or {advice}'
        if count > 1:
            advice = advice.replace(' it ', ' them ')
        about.append(f'{count} {suffix} ({advice})')
    return ', '.join(about)
