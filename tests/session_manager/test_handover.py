"""Rotations against a made-up market that all clients see: nothing is lost, and no book breaks."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tapeline_kernel import Normalizer

from session_manager.halves import load
from session_manager.provider import Provider, Running
from tapeline import venues
from tapeline.spec.encode import encode
from tapeline.spec.session import Lifetime
from tests.session_manager.desk import Close, Connect, Desk, Fetch
from tests.session_manager.fake_venue import until
from tests.session_manager.test_provider import payloads

DEPTH, TRADE = "btcusdt@depth@100ms", "btcusdt@trade"
_ROTATIONS = 2


def _rotated(provider: Provider) -> float:
    """How often each connection has been replaced, all of them about as often."""
    lines = provider.session.lines
    return min(line.connection for line in lines) // len({line.shard for line in lines}) if lines else 0


@asynccontextmanager
async def _market(venue: str) -> AsyncIterator[tuple[int, list[str]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emulator", "--venues", venue, "--live", "--rate", "400", stdout=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(40):
            while (told := json.loads(await process.stdout.readline()))["event"] != "ready":
                pass
        yield told["port"], told["channels"][venue]
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("venue", ["binance_spot", "kraken", "kucoin", "bitfinex", "htx"])
async def test_books_survive_rotations(venue: str) -> None:
    """Snapshots by request, over the socket and in the stream, ids, counters and checksums, tokens and keys from acks:
    two connections later every link and checksum still holds.
    """
    spec = replace(load(venue), lifetime=Lifetime(max_age=2.0, overlap=1.0))
    async with _market(venue) as (port, channels):
        running = Running(venue, venue.upper(), "PRIMARY", time.time_ns(), 64 << 20, 0.001, f"http://127.0.0.1:{port}")
        provider = Provider(spec, channels, running)
        provider.start()
        await until(lambda: _rotated(provider) >= _ROTATIONS, 30.0)
        await until(lambda: not provider.session.overlapping)
        sequence = provider.ring.last_sequence
        await provider.stop()
    assert provider.session.reconnects == 0
    normalizer = Normalizer(encode(venues.load(venue).meaning), venue.upper(), "PRIMARY", "dbn")
    cursor, _ = provider.ring.open("test", None)
    events = []
    while (item := provider.ring.read(cursor)) is not None:
        output = normalizer.normalize(item.data)  # type: ignore[union-attr]  # nothing is lost here
        # What the end brings is not meant.
        events += [event.kind for event in output.events if event.sequence <= sequence and output.last <= sequence]
    counters = normalizer.counters()
    assert counters["links"]["broken"] == counters["checksums"]["bad"] == 0
    assert counters["links"]["ok"] + counters["checksums"]["ok"] > 100
    assert not counters["rejected"]
    assert not {"gap", "checksum", "lost"} & set(events)
    assert len({connection for _, _, connection, _, _ in payloads(provider)}) > _ROTATIONS


def _rotating(channels: list[str]) -> Desk:
    desk = Desk("binance_spot", channels, lifetime=Lifetime(max_age=100.0, overlap=20.0), server_pings=())
    desk.open()
    desk.frame('{"result":null,"id":1}')
    desk.seen(*channels)
    for _ in range(9):
        desk.wait(8.95)
        desk.seen(*channels)
    desk.connect(1)
    return desk


def test_the_old_ones_data_are_no_ack_for_the_heir() -> None:
    """Each connection's data speak for itself only: the heir is not taken to be subscribed before it is."""
    desk = _rotating([TRADE])
    for _ in range(50):
        desk.seen(TRADE, connection=0)
        desk.wait(0.1)
    assert not desk.session.lines[1].subscriptions.settled
    assert not desk.of(Close)


def test_a_channel_only_the_old_one_has_data_of_is_waited_for() -> None:
    """Granted, yet without data while the old one has some: the heir does not carry it yet."""
    desk = _rotating([TRADE])
    desk.frame('{"result":null,"id":1}', connection=1)
    for _ in range(30):
        desk.seen(TRADE, connection=0)
        desk.wait(0.1)
    assert not desk.of(Close)
    desk.seen(TRADE, connection=1)
    desk.drain(0)
    assert desk.of(Close) == [Close(0, "rotated")]


def test_a_channel_both_are_silent_on_does_not_hold_the_handover() -> None:
    """A quiet one is quiet on both."""
    desk = _rotating([TRADE, "ethusdt@trade"])
    desk.frame('{"result":null,"id":1}', connection=1)
    desk.seen(TRADE, connection=1)
    assert not desk.of(Close)
    desk.wait(1.1)
    desk.drain(0)
    assert desk.of(Close) == [Close(0, "rotated")]


def test_an_heir_that_is_refused_a_channel_does_not_replace_its_holder() -> None:
    """Better an old connection than none; its own end comes soon enough."""
    desk = _rotating([TRADE])
    desk.frame('{"error":{"code":2,"msg":"no"},"id":1}', connection=1)
    desk.wait(10.0)
    assert not desk.of(Close)


def test_an_heir_that_fails_is_made_again_while_the_old_one_lives() -> None:
    """The old connection is not touched by it."""
    desk = _rotating([TRADE])
    desk.close(1, 1006)
    desk.wait(1.0)
    assert len(desk.of(Connect)) == 3
    desk.connect(2)
    desk.seen(TRADE, connection=2)
    desk.drain(0)
    assert desk.of(Close) == [Close(0, "rotated")]


def test_a_resync_in_an_overlap_is_the_newer_ones() -> None:
    """As soon as the heir carries the channel, requests are made for it."""
    desk = _rotating([DEPTH, TRADE])
    desk.answer(desk.of(Fetch)[0].key)
    desk.frame('{"result":null,"id":1}', connection=1)
    desk.seen(DEPTH, connection=1)
    assert len(desk.of(Fetch)) == 2
    desk.answer(desk.of(Fetch)[1].key, b"[1]")
    assert [emit.connection for emit in desk.emits(DEPTH)] == [0, 1]


def test_a_notice_that_every_connection_gets_does_not_rotate_in_a_circle() -> None:
    """The heir's own notice waits a while."""
    notice = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}'
    desk = Desk("binance_spot", [TRADE])
    desk.open()
    desk.seen(TRADE)
    for heir in (1, 2, 3):
        desk.frame(notice, connection=heir - 1)
        if heir > 1:
            assert len(desk.of(Connect)) == heir
            began = desk.now
            while len(desk.of(Connect)) == heir:
                desk.seen(TRADE, connection=heir - 1)
                desk.wait(1.0)
            assert desk.now - began > 15.0
        assert len(desk.of(Connect)) == heir + 1
        desk.connect(heir)
        desk.seen(TRADE, connection=heir)
        desk.drain(heir - 1)
    assert [close.connection for close in desk.of(Close)] == [0, 1, 2]


def test_the_old_one_is_left_in_order() -> None:
    """Unsubscribed when the heir carries all; closed when it has answered: what it had to say before came before that."""
    desk = _rotating([TRADE])
    desk.seen(TRADE, connection=1)
    assert desk.commands()[-1].operation.value == "unsubscribe"
    desk.wait(3.0)
    desk.seen(TRADE, connection=0)
    assert not desk.of(Close)
    desk.frame('{"result":null,"id":2}', connection=0)
    assert desk.of(Close) == [Close(0, "rotated")]
