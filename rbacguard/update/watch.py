"""Verifying again and again, until the cluster is clean or time is up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rbacguard.errors import ClusterError
from rbacguard.update.verify import Verification


def until_clean(
    look: Callable[[], Verification],
    *,
    deadline: float,
    interval: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Verification | ClusterError]:
    """Yield what each look found, the last being the answer.

    A cluster that does not answer is no end: it may be in the middle of its update.

    Args:
        look: reads the cluster and verifies it.
        deadline: seconds after which the last look is taken.
        interval: seconds between two looks.
        clock: monotonic time in seconds.
        sleep: waits so many seconds.
    """
    end = clock() + deadline
    while True:
        found: Verification | ClusterError
        try:
            found = look()
        except ClusterError as error:
            found = error
        yield found
        left = end - clock()
        if left <= 0 or (isinstance(found, Verification) and found.clean):
            return
        sleep(min(interval, left))
