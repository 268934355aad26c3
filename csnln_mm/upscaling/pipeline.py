"""Reading ahead and writing behind while images are worked on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from csnln_mm.errors import failure_reason

Item = TypeVar('Item')
Read = TypeVar('Read')
Made = TypeVar('Made')
Result = TypeVar('Result')


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items, fetching the next in a thread while one is worked on."""
    iterator, thread = iter(items), ThreadPoolExecutor(1)
    try:
        following = thread.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, iterator, None)
            yield item
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


def write_behind(items: Iterable[Item], write: Callable[[Item], None]) -> None:
    """Call ``write`` for each item, in a thread while the next one is made."""
    with ThreadPoolExecutor(1) as thread:
        last: Future[None] | None = None
        for item in items:
            if last:
                last.result()
            last = thread.submit(write, item)
        if last:
            last.result()


def run_pipeline(
    items: Sequence[Item],
    *,
    read: Callable[[Item], Read],
    work: Callable[[Item, Read], Made],
    write: Callable[[Item, Made], Result],
    fail: Callable[[Item, str], Result],
    alone: Callable[[Item], bool] = lambda item: False,
) -> list[Result]:
    """Read, process and write each item, with at most three in memory.

    Args:
        items: what to do, in order.
        read: called in a thread, for the next item while one is worked on.
        work: called in this thread.
        write: called in another thread, in order, for the last item while one is worked on.
        alone: whether an item is so large that it is read, worked on and written while no other is
            in memory.
        fail: called in its place, with the reason, if one of the three raised an exception.

    Returns:
        What ``write`` or ``fail`` returned for each item.
    """

    def finish(item: Item, made: Made) -> Result:
        try:
            return write(item, made)
        except Exception as error:
            return fail(item, failure_reason(error))

    results: list[Future[Result]] = []
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead: list[Future[Read]] = []
        for index, item in enumerate(items):
            if alone(item) and results:
                results[-1].result()
            current = ahead.pop() if ahead else reader.submit(read, item)
            for following in items[index + 1 : index + 2]:
                if not alone(item) and not alone(following):
                    ahead.append(reader.submit(read, following))
            try:
                made = work(item, current.result())
            except Exception as error:
                results.append(writer.submit(fail, item, failure_reason(error)))
            else:
                if results:
                    results[-1].result()  # one waits to be written, not many
                results.append(writer.submit(finish, item, made))
                del made
            del current
            if alone(item):
                results[-1].result()
    return [result.result() for result in results]
