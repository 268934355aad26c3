"""Reading ahead and writing behind while images are worked on."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from csnln_mm.errors import failure_reason

Item = TypeVar('Item')
Read = TypeVar('Read')
Made = TypeVar('Made')
Result = TypeVar('Result')


def run_pipeline(
    items: Sequence[Item],
    *,
    read: Callable[[Item], Read],
    work: Callable[[Item, Read], Made],
    write: Callable[[Item, Made], Result],
    fail: Callable[[Item, str], Result],
) -> list[Result]:
    """Read each item, work on it and write what came of it; three are in memory at most.

    Args:
        items: what to do, in order.
        read: called in a thread, for the next item while one is worked on.
        work: called in this thread.
        write: called in another thread, in order, for the last item while one is worked on.
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
        ahead = [reader.submit(read, item) for item in items[:1]]
        for index, item in enumerate(items):
            current = ahead.pop()
            ahead += [reader.submit(read, item) for item in items[index + 1 : index + 2]]
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
    return [result.result() for result in results]
