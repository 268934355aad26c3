"""Work in a thread that is given up when it has computed for too long."""

import threading
import time

import pytest

from csnln_mm.images.bounded import TookTooLong, run_for


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
