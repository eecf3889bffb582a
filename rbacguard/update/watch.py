"""Repeated verification, until all checks pass or the deadline expires."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rbacguard.errors import ClusterError
from rbacguard.update.verify import Result, Verification


def poll_until_passed(
    verify_once: Callable[[], Verification],
    *,
    deadline: float,
    interval: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Verification | ClusterError]:
    """Yield the result of each verification. The last one is the answer.

    An error of the cluster does not end the loop: the cluster might be in the middle of its update.

    Args:
        verify_once: reads the cluster and verifies it.
        deadline: seconds after which the last verification starts.
        interval: seconds between two verifications.
        clock: returns a monotonic time in seconds.
        sleep: waits for a number of seconds.
    """
    end = clock() + deadline
    while True:
        found: Verification | ClusterError
        try:
            found = verify_once()
        except ClusterError as error:
            found = error
        yield found
        left = end - clock()
        if left <= 0 or (isinstance(found, Verification) and found.result is Result.PASSED):
            return
        sleep(min(interval, left))
