"""The folder is the registry: every venue has both halves, and what they say can be done."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from pathlib import Path

import pytest
from tapeline_kernel import Router

import normalizer.venues
import session_manager.venues
from session_manager import halves
from session_manager.batch import ChannelReader
from session_manager.session.plan import for_symbols, plan, select
from session_manager.session.validate import validate
from tapeline import captures
from tapeline.errors import SpecIncompleteError, UnknownVenueError
from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.spec.session import Poll, Request, Session
from tapeline.spec.subscribe import Operation, calls, channel, command, routing
from tests.session_manager.desk import Desk

VENUES = halves.names()


def test_every_venue_has_both_halves() -> None:
    """A session half without a meaning half, or the other way round, is half a venue."""
    meanings = {module.name for module in pkgutil.iter_modules(normalizer.venues.__path__)}
    assert set(VENUES) == {name for name in meanings if not name.startswith("_")}
    assert {"binance_spot", "binance_usdm", "coinbase", "deribit", "kraken"} <= set(VENUES)


@pytest.mark.parametrize("name", VENUES)
def test_a_half_is_data_that_can_be_done(name: str) -> None:
    """It validates, its routing compiles, its own choice of channels can be planned, and there is no code in its file."""
    session = halves.load(name)
    Router(encode(session.routing), name.upper(), "PRIMARY", 1)
    made = plan(session, for_symbols(session, []))
    assert made.shards or made.polled
    assert not made.left_out
    source = Path(session_manager.venues.__path__[0], f"{name}.py").read_text()
    assert not any(word in source for word in ("lambda", "import os", "open("))


@pytest.mark.parametrize("name", VENUES)
def test_subscribe_messages_can_be_read_back(name: str) -> None:
    """What the session sends, the emulator understands: the same channels. (FIX is read by its acceptor.)"""
    session = halves.load(name)
    if any(endpoint.fix is not None for endpoint in session.endpoints):
        return
    channels = list(select(session, for_symbols(session, [])).subscribed.values())
    numbers = iter(range(1, 1000))
    for operation in Operation:
        sent = calls(session, operation, channels, lambda: next(numbers))
        homes = {known.id: known.family.endpoint for known in channels}
        read = [command(session, call.text, homes[call.channels[0]]) for call in sent]
        if operation is Operation.UNSUBSCRIBE and session.subscription.ack.key:
            # Which channels a key stands for, the connection knows.
            assert [one.operation for one in read if one and one.key] == [operation] * len(sent)
            continue
        assert [(one.operation, one.channels) for one in read if one] == [(operation, call.channels) for call in sent]
        assert {one for call in sent for one in call.channels} == {known.id for known in channels}


@pytest.mark.parametrize("name", ["binance_spot", "binance_usdm", "coinbase", "deribit", "kraken"])
def test_recorded_frames_are_data_of_known_channels_or_known_control(name: str, recordings: Path) -> None:
    """No frame of a capture is unknown, and every channel found can be subscribed."""
    session = halves.load(name)
    for path in sorted((recordings / name).glob("*.jsonl.zst")):
        if path.name.startswith("advanced"):
            continue  # Coinbase Advanced Trade: another venue
        frames = [frame.data for frame in captures.read_capture(path) if frame.kind is captures.Kind.RECV]
        first = Router(encode(session.routing), "V", "PRIMARY", 1)
        first.push(0, range(len(frames)), frames)
        found = _channels(first)
        router = Router(encode(routing(session, found)), "V", "PRIMARY", 1)
        control = [frame for _, frame in router.push(0, range(len(frames)), frames)[0]]
        found = _channels(router)
        desk = Desk(name, found)
        assert all(channel(session, one) is not None for one in found)
        desk.open()
        # The recorder's request had a number of its own.
        assert [frame for frame in control if not desk.frame(frame.decode()) and b'"id":0' not in frame] == []


def _channels(router: Router) -> list[str]:
    taken = router.take()
    return ChannelReader().channels(taken[2]) if taken else []


def test_an_unknown_venue_is_refused_with_the_known_ones() -> None:
    """The error names what there is."""
    with pytest.raises(UnknownVenueError, match="kraken"):
        halves.load("krakn")


def _changed(**changes: object) -> Session:
    return replace(halves.load("kraken"), **changes)  # type: ignore[arg-type]  # fields by name


def test_what_cannot_be_filled_in_is_refused_at_start() -> None:
    """An address, key, poll or request that lacks what it needs stops the start, with its place."""
    base = halves.load("kraken")
    endpoint = replace(base.endpoints[0], url="wss://x?token=${token}")
    mute = Request("mute", "", Schema.MBO, message="{}")
    for change, words in (
        ({"endpoints": (endpoint,)}, "url asks for token"),
        ({"subscription": replace(base.subscription, unsubscribe='{"id":${key}}')}, "no ack tells"),
        ({"families": (replace(base.families[0], poll=Poll("nothing", 1.0)),)}, "unknown request 'nothing'"),
        ({"endpoints": (replace(base.endpoints[0], url=""),)}, "must be polled"),
        ({"requests": (mute,)}, "found by nothing"),
    ):
        with pytest.raises(SpecIncompleteError, match=words):
            validate("kraken", _changed(**change))


def test_inconsistencies_are_refused_with_their_place() -> None:
    """All of them at once."""
    base = halves.load("kraken")
    family = replace(base.families[0], endpoint="nowhere", argument='"${sybmol}"')
    with pytest.raises(SpecIncompleteError) as caught:
        validate("kraken", _changed(families=(family, *base.families[1:])))
    assert "no endpoint 'nowhere'" in str(caught.value)
    assert "argument asks for sybmol" in str(caught.value)
