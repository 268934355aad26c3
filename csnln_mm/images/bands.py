"""Group the bands of an image that go through a network together."""

import re
from collections.abc import Sequence

from csnln_mm.errors import UserError


def parse_bands(text: str) -> tuple[tuple[int, ...], ...]:
    """Parse groups of bands: ``4,3,2+8``, counted from 1, becomes ((3, 2, 1), (7,)), from 0.

    Raises:
        UserError: if the text is not of that form, or names a band twice.
    """
    if not re.fullmatch(r'[1-9]\d{0,4}([,+][1-9]\d{0,4})*', text):
        raise UserError(
            f'bands must be numbers from 1, such as 4,3,2+8 (bands 4, 3, 2 as red, green and blue, '
            f'and band 8 as grey), got {text}'
        )
    groups = tuple(tuple(int(band) - 1 for band in group.split(',')) for group in text.split('+'))
    bands = [band for group in groups for band in group]
    if len(set(bands)) < len(bands):
        raise UserError(f'bands must be named once each, got {text}')
    return groups


def check_bands(groups: Sequence[Sequence[int]], count: int) -> None:
    """Raise UserError if a group names a band that an image of ``count`` bands lacks."""
    missing = [band + 1 for group in groups for band in group if band >= count]
    if missing:
        raise UserError(f'there is no band {missing[0]}; the image has {count}')


def fit_groups(groups: tuple[int, ...], channels: int, *, chosen: bool) -> tuple[int, ...]:
    """Choose the groups in which bands go through a network.

    Args:
        groups: sizes of the groups of the image.
        channels: of the network's input.
        chosen: whether a user chose the groups; otherwise a network of other than three channels,
            and of as many as there are bands, gets all bands at once.

    Raises:
        UserError: if a group has neither one band nor as many as the network's input.
    """
    total = sum(groups)
    if channels == 1:
        return (1,) * total
    if total == channels != 3 and not chosen:
        return (total,)
    for size in groups:
        if size not in (1, channels):
            raise UserError(
                f'the network takes {channels} bands together, or one as grey, not {size}; '
                'choose them with --bands'
            )
    return groups
