"""Work by several processes, taken in its order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

#: Items of a task, as one is not worth the way to a process.
CHUNK = 64
#: What of a progress bar is needed: goes through something, given the total
#: and how much of it an item is.
Track = Callable[[Iterable, int, Callable[[Any], int]], Iterable]

_function: Callable[[Any, int], Any]
_shared: Any


def no_bar(
    items: Iterable, total: int, size: Callable[[Any], int]
) -> Iterable:
    """A progress bar that shows nothing."""
    return items


def map_in_order(
    function: Callable[[Any, int], Any],
    shared: Any,
    numbers: Iterable[int],
    workers: int,
) -> Iterator[list]:
    """Call `function(shared, number)` in processes.

    They are started before this returns: forking beside the thread of a
    progress bar may hang. A few results are kept ahead, not all.

    Args:
        function: Of a module, to be found by other processes.
        shared: Its first argument, which each process gets once.
        numbers: Its second ones.
        workers: Number of processes; 1 for this one.

    Returns:
        Iterator of lists of results, in the order of `numbers`.
    """
    chunks = _chunks(numbers)
    if workers <= 1:
        return ([function(shared, n) for n in chunk] for chunk in chunks)
    pool = ProcessPoolExecutor(
        workers, initializer=_initialize, initargs=(function, shared)
    )
    waiting = deque(
        pool.submit(_run, chunk)
        for chunk in itertools.islice(chunks, 4 * workers)
    )

    def results() -> Iterator[list]:
        try:
            while waiting:
                done = waiting.popleft().result()
                for chunk in itertools.islice(chunks, 1):
                    waiting.append(pool.submit(_run, chunk))
                yield done
        finally:
            pool.shutdown(cancel_futures=True)

    return results()


def _chunks(numbers: Iterable[int]) -> Iterator[list[int]]:
    numbers = iter(numbers)
    while chunk := list(itertools.islice(numbers, CHUNK)):
        yield chunk


def _initialize(function: Callable[[Any, int], Any], shared: Any) -> None:
    global _function, _shared
    _function, _shared = function, shared


def _run(chunk: list[int]) -> list:
    return [_function(_shared, number) for number in chunk]
