"""One connection's trouble is its own: the others' order, latency and budget do not suffer from it, under load too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from session_manager.provider import Provider, Running
from tapeline.spec.session import Budget, Endpoint, Pacing, Reconnect, Session
from tapeline.spec.subscribe import Command
from tests.session_manager.desk import Connect, Desk
from tests.session_manager.fake_venue import FakeVenue, until
from tests.session_manager.made_up import PLAIN
from tests.session_manager.test_provider import payloads

TWO = replace(
    PLAIN,
    endpoints=(
        Endpoint("sick", "wss://sick.example/ws"),
        Endpoint("well", "wss://well.example/ws"),
    ),
    families=(
        replace(PLAIN.families[0], name="sick", patterns=("sick:${symbol}",), endpoint="sick"),
        replace(PLAIN.families[0], name="well", patterns=("well:${symbol}",), endpoint="well"),
    ),
    reconnect=Reconnect(first=0.05, longest=0.2),
    pacing=Pacing(attempt_timeout=1.0),
)
_EACH = 3000
_PATIENCE = 0.25
"""Seconds; nothing is that late unless somebody waited for the sick one, whose own waits are all longer."""


def _ack(asked: Command) -> list[str]:
    return [f'{{"ok":1,"id":{asked.number}}}']


def _of(venue: FakeVenue, name: str) -> int:
    """The newest client of an endpoint."""
    return max(place for place, client in enumerate(venue.clients) if venue.at[client].find(name) >= 0)


@asynccontextmanager
async def _two(session: Session) -> AsyncIterator[tuple[FakeVenue, Provider]]:
    async with FakeVenue(session, _ack) as venue:
        running = Running("apart", "APART", "PRIMARY", time.time_ns(), 64 << 20, 0.001, venue.base)
        provider = Provider(session, ["sick:A", "well:A"], running)
        provider.start()
        try:
            await until(lambda: len(venue.commands) == 2)
            yield venue, provider
        finally:
            await provider.stop()


async def _garbage(venue: FakeVenue) -> None:
    while True:
        await venue.send(*['{"what":"is this","data":'] * 200, "\x00" * 5000, "[" * 3000, client=_of(venue, "sick"))
        await asyncio.sleep(0.01)


async def _lost_again_and_again(venue: FakeVenue) -> None:
    while True:
        for client in [one for one in venue.clients if "sick" in venue.at[one]]:
            assert client._writer is not None
            client._writer.transport.abort()
        await asyncio.sleep(0.05)


async def _hanging(venue: FakeVenue) -> None:
    venue.hangs = "sick"
    await _lost_again_and_again(venue)


@pytest.mark.parametrize("trouble", [_garbage, _lost_again_and_again, _hanging])
async def test_a_sick_connection_does_not_delay_a_well_one(trouble: object) -> None:
    """Garbage, resets and handshakes that hang on one; on the other all arrives in order and at once."""
    async with _two(TWO) as (venue, provider):
        task = asyncio.create_task(trouble(venue))  # type: ignore[operator]  # one of the above
        try:
            for number in range(_EACH):
                sent = time.time_ns()
                await venue.send(f'{{"topic":"well:A","data":{number},"sent":{sent}}}', client=_of(venue, "well"))
                if number % 20 == 0:
                    await asyncio.sleep(0.005)
            await until(lambda: len([1 for found in payloads(provider) if found[1] == "well:A"]) == _EACH)
        finally:
            task.cancel()
        found = [(stamp, data) for _, name, _, stamp, data in payloads(provider) if name == "well:A"]
        assert [int(data.split(b'"data":')[1].split(b",")[0]) for _, data in found] == list(range(_EACH))
        late = sorted((stamp - int(data.split(b'"sent":')[1][:-1])) / 1e9 for stamp, data in found)
        assert late[int(_EACH * 0.99)] < _PATIENCE
        well = [line for line in provider.session.lines if line.shard.endpoint.name == "well"]
        assert [line.reconnects for line in well] == [0]


def test_a_connection_that_fails_again_and_again_leaves_attempts_to_the_others() -> None:
    """The budget is the address's; its last quarter is for those that have not failed so often."""
    desk = Desk(TWO, ["sick:A", "well:A"], reconnect=Reconnect(first=0.01, longest=0.01, budget=Budget(20, 600.0)))
    desk.start()
    well = desk.of(Connect)[1].connection
    desk.connect(well)
    desk.seen("well:A", connection=well)
    for _ in range(60):
        sick = next(line for line in desk.session.lines if line.shard.endpoint.name == "sick")
        if sick.stage.value == "connecting":
            desk.close(sick.connection, 0, "refused")
        desk.seen("well:A", connection=well)
        desk.wait(1.0)
    assert len(desk.of(Connect)) == 15
    desk.close(well)
    desk.wait(0.1)
    assert len(desk.of(Connect)) == 16
    assert desk.of(Connect)[-1].endpoint == "well"
