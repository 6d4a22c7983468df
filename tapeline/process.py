"""How a room runs as a process: an event loop, a clean stop, one line and an exit code for what goes wrong."""

from __future__ import annotations

import asyncio
import ctypes
import random
import signal
import sys
from collections.abc import Awaitable, Callable

from tapeline.errors import RefusedError, TapelineError

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: what runs in a child before it starts must take no lock.
_LIBC = ctypes.CDLL(None)

Main = Callable[[asyncio.Event], Awaitable[None]]
"""A room's work; it ends by itself or soon after the event is set."""


def run(name: str, main: Main) -> int:
    """Runs a room until it ends or SIGTERM or SIGINT asks it to; the exit code (0 done, 1 failure, 2 refused)."""
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signalled(main))
    except TapelineError as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, RefusedError) else 1
    return 0


async def _until_signalled(main: Main) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)


async def first_of(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Waits until `stop` is set or one of the tasks has ended; raises what that one raised, and cancels none."""
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    for task in tasks:
        if task.done():
            task.result()


async def cancel(*tasks: asyncio.Task[None]) -> None:
    """Cancels tasks and waits for their end, whatever it is."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def end_with_parent() -> None:
    """In a child before it starts: it is killed when the thread that started it ends, however that happens (Linux)."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Backoff:
    """Seconds to wait before each further try: doubling, with jitter, up to a bound."""

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        """The last try went well."""
        self._next = self._first

    def next(self) -> float:
        """How long to wait now."""
        wait = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, self._longest)
        return wait
