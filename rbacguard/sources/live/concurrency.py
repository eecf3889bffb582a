"""Concurrent requests."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

Progress = Callable[[str, int, int | None], None]
"""Receives a kind, the number of objects that were read, and their total number if known."""

_WORKERS = 6
_Result = TypeVar("_Result")


def run_concurrently(tasks: Iterable[Callable[[], _Result]]) -> list[_Result]:
    """Run tasks in threads, and return their results in order.

    Raises the first error of a task. An interruption ends the program without waiting for tasks.
    """
    todo: queue.SimpleQueue[tuple[int, Callable[[], _Result]]] = queue.SimpleQueue()
    results: dict[int, _Result] = {}
    errors: list[BaseException] = []
    count = 0
    for count, task in enumerate(tasks, 1):
        todo.put((count - 1, task))

    def work() -> None:
        while not errors:
            try:
                number, task = todo.get_nowait()
            except queue.Empty:
                return
            try:
                results[number] = task()
            except BaseException as error:  # noqa: BLE001 - raised again below, in the main thread
                errors.append(error)

    # Daemon threads, so that Ctrl-C does not wait for a slow server.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_WORKERS, count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.1)
    if errors:
        raise errors[0]
    return [results[number] for number in range(count)]
