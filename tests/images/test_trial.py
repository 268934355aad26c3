"""Files that a decoder cannot finish do not take the server along."""

import sys

import pytest
from tiny_network import photograph

from csnln_mm.errors import UserError
from csnln_mm.images import trial
from csnln_mm.images.image_file import write_image


@pytest.fixture
def path(tmp_path):
    write_image(tmp_path / 'image.png', photograph(20, 26))
    return tmp_path / 'image.png'


def test_what_can_be_read_passes_and_the_rest_is_refused_as_when_it_is_read(path, tmp_path):
    trial.check_decoding(path, 520)
    with pytest.raises(UserError, match='26x20 pixels, more than the limit of 519;'):
        trial.check_decoding(path, 519)
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(UserError, match='text.png is damaged or no image'):
        trial.check_decoding(tmp_path / 'text.png', 520)


@pytest.mark.parametrize(
    'decoder, reason',
    [
        ('while True: pass', 'takes too long for its size'),
        ('import os; os.abort()', 'its decoder fails'),
        ('[bytes(2**24) for _ in range(2**14)]', 'its decoder fails'),
    ],
)
def test_a_decoder_that_hangs_crashes_or_takes_all_memory_is_ended(
    path, monkeypatch, decoder, reason
):
    code = (
        'from csnln_mm import limits; from csnln_mm.images import trial; '
        f'limits.DECODING_SECONDS, limits.TRIAL_BYTES = 1, {2**28}; trial._limit_process(520)'
    )
    monkeypatch.setattr(trial, '_COMMAND', (sys.executable, '-c', f'{code}\n{decoder}'))
    with pytest.raises(UserError, match=rf'image.png is .*{reason}'):
        trial.check_decoding(path, 520)
