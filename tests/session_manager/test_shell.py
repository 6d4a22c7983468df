"""The shell's part of the session language over real sockets: keys, decoders, handshakes, signers, polls."""

from __future__ import annotations

import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from session_manager import signers
from session_manager.batch import ChannelReader
from session_manager.provider import Provider, Running
from tapeline.spec.decoding import Compression, Inflate
from tapeline.spec.routing import Match, Route
from tapeline.spec.session import Carrier, Endpoint, Reconnect, Resync, ServerPing, Session
from tapeline.spec.subscribe import Command
from tests.session_manager.fake_venue import FakeVenue, until
from tests.session_manager.made_up import ASKING, KEYED, PLAIN, POLLED, TOKENS, bullet
from tests.session_manager.test_provider import payloads

PATIENT = Reconnect(first=0.05, longest=0.1)


def _ack(asked: Command) -> list[str]:
    return [f'{{"ok":1,"id":{asked.number}}}']


@asynccontextmanager
async def _running(venue: FakeVenue, session: Session, channels: list[str]) -> AsyncIterator[Provider]:
    running = Running("made_up", "MADE_UP", "PRIMARY", time.time_ns(), 64 << 20, 0.001, venue.base)
    provider = Provider(session, channels, running)
    provider.start()
    try:
        yield provider
    finally:
        await provider.stop()


def _of(provider: Provider, channel: str) -> list[bytes]:
    return [payload for _, name, _, _, payload in payloads(provider) if name == channel]


async def test_data_right_behind_their_ack_find_their_channel() -> None:
    """Ack and snapshot come in one read; the key is learned in between, and forgotten with the connection."""
    session = replace(KEYED, reconnect=PATIENT)
    async with FakeVenue(session, lambda _: []) as venue, _running(venue, session, ["book:A"]) as provider:
        for life, key in enumerate((17, 18)):
            await until(lambda life=life: len(venue.texts) == life + 1)  # type: ignore[misc]  # bound at once
            await venue.send(
                f'{{"event":"subscribed","channel":"book","chanId":{key},"symbol":"A"}}',
                f"[{key},[[1,2,3]]]",
                "[17,[4,5,6]]",
            )
            await until(lambda life=life: len(_of(provider, "book:A")) == 2 + life)  # type: ignore[misc]  # bound at once
            await venue.clients[-1].close()
        assert _of(provider, "book:A") == [b"[17,[[1,2,3]]]", b"[17,[4,5,6]]", b"[18,[[1,2,3]]]"]
        # Of the second connection's frames the old key names nothing any more.
        assert _of(provider, "_unknown") == [b"[17,[4,5,6]]"]


async def test_compressed_frames_are_understood_and_kept_as_they_came() -> None:
    """Pings in gzip are answered, words too; an answer over the socket is the payload byte for byte; damage is unknown."""
    session = replace(
        ASKING,
        routing=replace(
            ASKING.routing, routes=(Route("{topic}", (Match("data"),)),), decoder=Inflate(Compression.GZIP)
        ),
        server_pings=(
            ServerPing(Carrier.JSON, (Match("ping"),), '{"pong":${=ping}}'),
            ServerPing(Carrier.TEXT, (Match("", ("Ping",)),), "Pong"),
        ),
    )
    async with FakeVenue(session, lambda _: []) as venue, _running(venue, session, ["book:A"]) as provider:
        await until(lambda: venue.commands)
        await venue.send_bytes(gzip.compress(b'{"ok":1,"id":1}'), gzip.compress(b'{"ping":1492420473027}'))
        await until(lambda: '{"pong":1492420473027}' in venue.texts)
        await venue.send_bytes(gzip.compress(b"Ping"))
        await until(lambda: "Pong" in venue.texts)
        delta = gzip.compress(b'{"topic":"book:A","data":[1]}')
        await venue.send_bytes(delta)
        await until(lambda: any("req" in text for text in venue.texts))
        snapshot = gzip.compress(b'{"rep":"book:A","status":"ok","id":"2"}')
        broken = gzip.compress(b'{"topic":"book:A","data":[2]}')[:-12]
        await venue.send_bytes(snapshot, broken)
        await until(lambda: _of(provider, "_unknown"))
        assert _of(provider, "book:A") == [delta, snapshot]
        assert _of(provider, "_unknown") == [broken]


async def test_a_handshake_by_http_leads_to_the_socket() -> None:
    """Address and token are the venue's; a new connection has a new token."""
    session = replace(TOKENS, reconnect=PATIENT)
    async with FakeVenue(session, _ack) as venue:
        venue.http = {"bullet-public": (200, bullet("t/1"))}
        async with _running(venue, session, ["/market/match:A"]):
            await until(lambda: venue.clients)
            assert venue.paths[0].startswith("/made_up/push.example/endpoint?token=t/1&connectId=")
            venue.http = {"bullet-public": (200, bullet("t/2"))}
            await venue.clients[0].close()
            await until(lambda: len(venue.paths) == 2)
            assert "token=t/2" in venue.paths[1]
            assert len(venue.requests) == 2


async def test_a_refused_upgrade_says_when_to_come_back() -> None:
    """`Retry-After` of a refused handshake is obeyed; without it the back-off goes on."""
    session = replace(PLAIN, reconnect=PATIENT)
    async with FakeVenue(session, _ack) as venue:
        venue.refuses = {"Retry-After": "1"}
        async with _running(venue, session, ["trade:A"]):
            await until(lambda: venue.refused == 1)
            began = time.monotonic()
            venue.refuses = {}
            await until(lambda: venue.clients)
            assert 0.8 < time.monotonic() - began < 5.0


async def test_a_signer_is_found_and_asked_anew_for_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of `session_manager/signers`; its variables stand in address and headers."""
    asked: list[str] = []

    def sign(signing: object) -> dict[str, str]:
        asked.append(signing.nonce)  # type: ignore[attr-defined]  # a Signing
        return {"signature": f"s{len(asked)}"}

    monkeypatch.setattr("session_manager.provider.sign", lambda name, signing: {"of_the_test": sign}[name](signing))
    assert signers.__path__
    endpoint = Endpoint("public", "wss://plain.example/ws?s=${signature}", signer="of_the_test")
    session = replace(PLAIN, endpoints=(endpoint,), reconnect=PATIENT)
    async with FakeVenue(session, _ack) as venue, _running(venue, session, ["trade:A"]):
        await until(lambda: venue.clients)
        await venue.clients[0].close()
        await until(lambda: len(venue.paths) == 2)
        assert [path.rpartition("?")[2] for path in venue.paths] == ["s=s1", "s=s2"]
        assert len(set(asked)) == 2


async def test_a_polled_venue_streams_what_it_answers() -> None:
    """Without a single socket."""
    async with FakeVenue(POLLED, _ack) as venue:
        venue.http = {"trades": (200, b'{"trades":[],"last":"5"}'), "depth": (200, b'{"bids":[]}')}
        async with _running(venue, POLLED, ["trades:A", "depth:A"]) as provider:
            await until(lambda: _of(provider, "trades:A") and _of(provider, "depth:A"))
            assert provider.stats()["channels_active"] == 2
            assert not venue.clients


async def test_a_batch_tells_whose_data_it_holds() -> None:
    """By connection and channel, whatever the payloads hold."""
    session = replace(PLAIN, families=(replace(PLAIN.families[0], resync=Resync.NONE),))
    async with FakeVenue(session, _ack) as venue, _running(venue, session, ["trade:A"]) as provider:
        for connection in (0, 1, 200, 70_000):
            for name in ("a", "b")[: 1 + connection % 2]:
                provider.router.inject(name, "TRADES", 2**60 + connection, connection, b"x" * (connection % 300))
        taken = provider.router.take()
        assert taken is not None
        assert ChannelReader().by_connection(taken[2]) == {0: {"a"}, 1: {"a", "b"}, 200: {"a"}, 70_000: {"a"}}
