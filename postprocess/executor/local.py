"""Units in processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from postprocess.units import Report, Unit, failure

_SPAWN = get_context("spawn")


class LocalExecutor:
    """As many processes as asked for, 0: one for each core; each takes one unit after the other."""

    def __init__(self, workers: int = 0) -> None:
        self._workers = workers or len(os.sched_getaffinity(0))

    def run(self, units: Sequence[Unit]) -> Iterator[Report]:
        """See Executor. A process that is killed costs its own unit; closing the iterator ends all processes."""
        waiting = deque(units)
        workers = {(worker := _Worker()).connection: worker for _ in range(min(self._workers, len(units)))}
        try:
            for worker in workers.values():
                worker.give(waiting.popleft())
            while workers:
                for ready in wait(list(workers)):
                    assert isinstance(ready, Connection)
                    worker = workers[ready]
                    report = worker.take()
                    if report is None:
                        del workers[ready]
                        yield failure(worker.unit, worker.end())
                        if not waiting:
                            continue
                        worker = _Worker()
                        workers[worker.connection] = worker
                    else:
                        yield report
                    if waiting:
                        worker.give(waiting.popleft())
                    else:
                        del workers[worker.connection]
                        worker.end()
        finally:
            for worker in workers.values():
                worker.kill()


class _Worker:
    """One process and the unit it has."""

    def __init__(self) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self._process: SpawnProcess = _SPAWN.Process(target=_work, args=(theirs,), name="tapeline-unit", daemon=True)
        self._process.start()
        theirs.close()
        self.unit: Unit

    def give(self, unit: Unit) -> None:
        self.unit = unit
        # One that was killed before it had begun has no ear; `take` says so.
        with contextlib.suppress(BrokenPipeError):
            self.connection.send_bytes(unit.encode())

    def take(self) -> Report | None:
        """The report of its unit; None where the process has ended instead."""
        try:
            return Report.decode(self.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            return None

    def end(self) -> str:
        """Waits for its end; how that came."""
        self.connection.close()
        self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"

    def kill(self) -> None:
        self._process.kill()
        self.end()


def _work(connection: Connection) -> None:
    """A process: takes units until nobody gives any more."""
    from postprocess.work import run_unit

    # Ctrl-C goes to all processes of a terminal; it is the parent that ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            unit = Unit.decode(connection.recv_bytes())
        except EOFError:
            return
        connection.send_bytes(run_unit(unit).encode())


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
