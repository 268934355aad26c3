"""Work in a thread that is given up when it has computed for too long."""

import threading
import time

import numpy as np
import pytest
import tifffile

from csnln_mm import limits
from csnln_mm.images.bounded import TookTooLong, run_for
from csnln_mm.images.image_file import read_frames


def test_gives_what_the_work_gives():
    assert run_for(1, lambda: 3) == 3
    with pytest.raises(KeyError, match='why'):
        run_for(1, lambda: {}['why'])


def test_work_that_computes_for_too_long_is_left_alone_and_waiting_is_not_computing():
    done = threading.Event()

    def spin():
        while not done.is_set():
            pass

    try:
        with pytest.raises(TookTooLong):
            run_for(0.1, spin)
    finally:
        done.set()
    assert run_for(0.1, lambda: time.sleep(0.3) or 'late') == 'late'


def test_pages_are_timed_one_by_one_whatever_was_computed_before(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, 'DECODING_SECONDS', 0.5)
    pages = np.random.default_rng(0).integers(0, 256, (3, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / 'a.tif', pages, photometric='minisblack')
    while time.thread_time() < 1:
        pass
    read = [image.pixels for image in read_frames(tmp_path / 'a.tif')]
    np.testing.assert_array_equal(np.squeeze(read), pages)
