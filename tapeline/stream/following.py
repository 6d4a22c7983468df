"""Doing a stream's work under whichever instance its session manager has at the moment, and none while it stands by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tapeline.errors import AwayError, LostError
from tapeline.process import Backoff, cancel
from tapeline.stream.client import StreamClient
from tapeline.telemetry import Level, event

AUTO = "AUTO"

Work = Callable[[str, asyncio.Event], Coroutine[Any, Any, None]]
"""What is to be done as an instance until the event is set; then it ends cleanly."""


async def follow_role(client: StreamClient, provider: str, stop: asyncio.Event, work: Work) -> None:
    """Runs `work` for as long as the session manager has a role and is there; raises what the work raises.

    When the session manager is lost so is its role, for all that one knows here: the work ends, so that all it holds is written
    before another process goes on under that name, and begins again with the next word of the session manager.
    """
    backoff = Backoff(0.05, 1.0)
    while not stop.is_set():
        told: asyncio.Queue[str] = asyncio.Queue()
        watching = asyncio.create_task(_watch(client, provider, told, backoff))
        try:
            await _serve(told, watching, stop, work)
        finally:
            await cancel(watching)
        try:
            await asyncio.wait_for(stop.wait(), backoff.next())
        except TimeoutError:
            continue


async def _watch(client: StreamClient, provider: str, told: asyncio.Queue[str], backoff: Backoff) -> None:
    try:
        async for instance in client.roles(provider):
            backoff.reset()
            event("role", provider=provider, instance=instance or None)
            told.put_nowait(instance)
        reason = "stream ended"
    except (AwayError, LostError) as error:
        reason = str(error)
    event("role_unknown", Level.WARNING, provider=provider, reason=reason)


async def _serve(told: asyncio.Queue[str], watching: asyncio.Task[None], stop: asyncio.Event, work: Work) -> None:
    over = asyncio.Event()
    running: asyncio.Task[None] | None = None
    stopped = asyncio.create_task(stop.wait())
    hearing = asyncio.create_task(told.get())
    try:
        while True:
            waited: set[asyncio.Future[Any]] = {hearing, watching, stopped, *([running] if running is not None else [])}
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if running is not None and running in done:
                running.result()
                running = None
            if hearing not in done:
                if stopped in done or watching in done:
                    return
                continue
            over.set()
            if running is not None:
                await running
            instance = hearing.result()
            over = asyncio.Event()
            running = asyncio.create_task(work(instance, over)) if instance else None
            hearing = asyncio.create_task(told.get())
    finally:
        over.set()
        if running is not None:
            await running
        for one in (stopped, hearing):
            one.cancel()
