"""Reading ahead and writing behind."""

import threading

from csnln_mm.errors import UserError
from csnln_mm.upscaling.pipeline import run_pipeline


def test_results_come_in_order_whatever_fails_where():
    third = threading.Event()

    def read(item):
        if item == 'unreadable':
            raise UserError('no image')
        return f'{item} read'

    def work(item, content):
        if item == 'third':
            third.set()
            raise ValueError('of the network')
        return content

    def write(item, content):
        if item == 'first':
            assert third.wait(10), 'nothing is upscaled while a result is written'
        if item == 'full':
            raise MemoryError
        told.append(item)
        return f'{content}, written'

    def fail(item, reason):
        told.append(item)
        return reason

    told = []
    items = ['first', 'unreadable', 'third', 'full', 'last']
    results = run_pipeline(items, read=read, work=work, write=write, fail=fail)
    assert told == items
    assert results == [
        'first read, written',
        'no image',
        'ValueError: of the network',
        'not enough memory',
        'last read, written',
    ]


def test_no_more_than_three_are_in_memory():
    held, most = set(), []

    class Image:
        def __init__(self, item):
            held.add(item)
            most.append(len(held))

    def write(item, image):
        held.remove(item)

    run_pipeline(
        range(20),
        read=Image,
        work=lambda item, image: image,
        write=write,
        fail=lambda item, reason: reason,
    )
    assert max(most) <= 3 and not held


def test_nothing_to_do():
    assert run_pipeline([], read=str, work=str, write=str, fail=str) == []


def test_what_is_large_is_in_memory_alone():
    told = []

    def step(name):
        return lambda item, *content: told.append((name, item))

    run_pipeline(
        'aBcD',
        read=step('read'),
        work=step('work'),
        write=step('write'),
        fail=step('fail'),
        alone=str.isupper,
    )
    assert told == [(name, item) for item in 'aBcD' for name in ('read', 'work', 'write')]
