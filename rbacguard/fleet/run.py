"""Many clusters, side by side: on this machine's processes, or on a Dask scheduler's workers.

Either is a `concurrent.futures.Executor`, and everything else is the same. No more is under way
than the workers can hold ready, and answers are written as they come, so memory does not grow
with the fleet.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import msgspec

from rbacguard.errors import ClusterError, InputError
from rbacguard.fleet.clusters import Cluster
from rbacguard.fleet.look import Task, failed, look
from rbacguard.fleet.results import Results
from rbacguard.output.wire import FleetClusterModel

_READY = 2
"""Clusters handed out for each worker, so that none waits for the next."""
Start = Callable[[], AbstractContextManager[tuple[Executor, int]]]
"""Gives an executor and the number of its workers, as long as it lasts."""


class Answer(NamedTuple):
    """What a cluster said, and whether that was known from an earlier run."""

    found: FleetClusterModel
    as_before: bool


def processes(count: int) -> Start:
    """Return what starts that many processes of this machine."""

    @contextmanager
    def start() -> Iterator[tuple[Executor, int]]:
        # Not forked from here, where a progress bar has a thread.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["rbacguard.fleet.look", "rbacguard.policy"])
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_leave_ctrl_c)
        try:
            yield pool, count
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    return start


def _leave_ctrl_c() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that people see."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def scheduler(address: str) -> Start:
    """Return what connects to a Dask scheduler, whose workers have rbacguard installed."""

    @contextmanager
    def start() -> Iterator[tuple[Executor, int]]:
        try:
            from distributed import Client
        except ImportError:
            raise InputError("--scheduler needs: pip install 'rbacguard[fleet]'") from None
        try:
            client = Client(address, timeout=10, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(f"--scheduler {address}: cannot be reached: {error}") from None
        with client:
            workers = sum(client.ncores().values())
            if not workers:
                raise ClusterError(f"--scheduler {address}: it has no workers")
            yield client.get_executor(pure=False), workers

    return start


def run(
    clusters: Sequence[Cluster], task: Task, start: Start, results: Results
) -> Iterator[Answer]:
    """Look at every cluster and yield each answer once, as they come.

    A process that dies takes the others of its pool with it; those that were under way then are
    looked at again one by one, and what kills its process twice has failed.
    """
    suspects = yield from _pass(clusters, task, start, results, alone=False)
    for cluster in suspects:
        left = yield from _pass([cluster], task, start, results, alone=True)
        for each in left:
            reason = "the process that read it was killed, for want of memory perhaps"
            yield Answer(results.add(failed(each, reason)), as_before=False)


def _pass(
    clusters: Iterable[Cluster], task: Task, start: Start, results: Results, *, alone: bool
) -> Generator[Answer, None, list[Cluster]]:
    """Go through clusters; return those whose process died."""
    waiting = deque(clusters)
    died: list[Cluster] = []
    while waiting:
        under_way: dict[Future[bytes], Cluster] = {}
        with start() as (executor, workers):
            try:
                while waiting or under_way:
                    while waiting and len(under_way) < workers * _READY:
                        cluster = waiting[0]
                        known = results.known_by(cluster.name)
                        under_way[executor.submit(look, cluster, task, known)] = cluster
                        waiting.popleft()
                    for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                        answer = _answer(done, under_way[done], results)
                        del under_way[done]
                        yield answer
            except BrokenProcessPool:
                died += under_way.values()
        if alone:
            break
    return died


def _answer(done: Future[bytes], cluster: Cluster, results: Results) -> Answer:
    """Take what came of one cluster.

    Raises:
        BrokenProcessPool: the process died, perhaps by another cluster.
    """
    try:
        data = done.result()
    except BrokenProcessPool:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a scheduler says of a worker
        found = failed(cluster, f"the worker failed: {type(error).__name__}: {error}")
        return Answer(results.add(found), as_before=False)
    if not data:
        return Answer(results.get(cluster.name), as_before=True)
    return Answer(results.add(msgspec.json.decode(data, type=FleetClusterModel)), as_before=False)
