"""Captures routed without a session manager: endpoints, keys that acks tell, compressed frames, answers over the socket."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.offline.capture_router import endpoint_of
from tapeline.offline.feed import Feed
from tapeline.schemas import Schema
from tapeline.spec.decoding import Compression, Inflate
from tapeline.spec.learning import Keys, Learned
from tapeline.spec.meaning import Meaning
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import Ack, AckBy, Batch, Endpoint, Family, Poll, Request, Resync, Session, Subscription
from tapeline.venues import Venue

Line = tuple[str, str, object]
"""Kind, connection, and what is said: JSON, bytes for a binary frame, or an address."""

KEYED = Session(
    routing=Routing(
        routes=(Route("{@0}"), Route("status.{status}", endpoints=("public",))),
        schemas=(ChannelSchema("*", Schema.TRADES),),
        decoder=Inflate(Compression.GZIP),
    ),
    endpoints=(
        Endpoint("public", "wss://api.venue.test/ws/2?nonce=${nonce}", ("wss://api-pub.venue.test/ws/2",)),
        Endpoint("futures", "wss://futures.venue.test/stream/${token}"),
    ),
    families=(
        Family("trades", ("trades.${symbol}",), "public", resync=Resync.REQUEST, snapshot="past"),
        Family("book", ("book.${symbol}",), "futures", resync=Resync.REQUEST, snapshot="asked"),
    ),
    subscription=Subscription(
        subscribe='{"event":"subscribe","id":${id},"channel":"${family}","symbol":"${symbol}"}',
        unsubscribe='{"event":"unsubscribe","id":${id},"chanId":${key}}',
        ack=Ack(
            AckBy.CHANNEL,
            when=(Match("event", ("subscribed",)),),
            when_unsubscribed=(Match("event", ("unsubscribed",)),),
            channels=("{channel}.{symbol}",),
            key="chanId",
        ),
        batch=Batch.ONE,
    ),
    channels=("trades.${symbol}", "book.${symbol}"),
    symbols=("A",),
    requests=(
        Request(
            "past", "", Schema.TRADES, message='{"req":"${channel}","id":"${id}"}', id="id", answer=(Match("past"),)
        ),
        Request(
            "asked",
            "",
            Schema.MBO,
            message='{"req":"${channel}"}',
            answer=(Match("rep"), Match("data")),
            answer_channel="{rep}",
        ),
    ),
)


def lines(tmp_path: Path, said: list[Line]) -> Path:
    """A capture of these lines."""
    path = tmp_path / "capture.jsonl"
    made = []
    for place, (kind, connection, what) in enumerate(said, 1):
        line: dict[str, object] = {"t": place, "k": kind, "c": connection}
        if kind in ("connect", "http"):
            line["u"], line["d"] = what, "[]"
        elif isinstance(what, bytes):
            line["b"] = base64.b64encode(what).decode()
        else:
            line["d"] = json.dumps(what, separators=(",", ":"))
        made.append(json.dumps(line))
    path.write_text("\n".join(made))
    return path


def fed(tmp_path: Path, session: Session, said: list[Line]) -> list[tuple[int, str, int]]:
    """The line, channel and connection of every payload."""
    feed = Feed(Venue("venue", "VENUE", session, Meaning(99, "1", "TEST", ())), "PRIMARY")
    found = []
    for encoded in feed.capture(lines(tmp_path, said)):
        batch = SubscribeResponse.FromString(encoded).batch
        found += [(one.ts_recv, batch.channels[one.channel].name, one.connection) for one in batch.payloads]
        for one in batch.payloads:
            what = said[one.ts_recv - 1][2]
            assert not isinstance(what, bytes) or one.data == what, "a frame is kept as it came"
    return found


def ack(symbol: str, key: int, channel: str = "trades") -> dict[str, object]:
    return {"event": "subscribed", "channel": channel, "symbol": symbol, "chanId": key}


def packed(what: object) -> bytes:
    return gzip.compress(json.dumps(what).encode())


PUBLIC = "wss://api.venue.test/ws/2?nonce=7"


def test_keys_are_learnt_from_acks_for_each_connection_and_anew_after_it_reconnects(tmp_path: Path) -> None:
    """The same key names what each connection was told, compressed or not; what was told before a reconnect is void."""
    said: list[Line] = [
        ("connect", "a", PUBLIC),
        ("recv", "a", [17, 1]),
        ("recv", "a", packed(ack("A", 17))),
        ("recv", "a", packed([17, 2])),
        ("connect", "b", PUBLIC),
        ("recv", "b", ack("B", 17)),
        ("recv", "b", [17, 3]),
        ("recv", "a", [17, 4]),
        ("connect", "a", PUBLIC),
        ("recv", "a", [17, 5]),
        ("recv", "a", ack("C", 18)),
        ("recv", "a", packed([18, 6])),
        ("recv", "a", {"event": "unsubscribed", "chanId": 18}),
        ("recv", "a", [18, 7]),
    ]
    assert fed(tmp_path, KEYED, said) == [
        (2, "_unknown", 0),
        (4, "trades.A", 0),
        (7, "trades.B", 1),
        (8, "trades.A", 0),
        (10, "_unknown", 2),
        (12, "trades.C", 2),
        (14, "_unknown", 2),
    ]


def test_acks_by_number_name_the_channel_that_was_asked_for(tmp_path: Path) -> None:
    """The client's messages in the capture tell it, whatever order the answers come in."""
    numbered = replace(
        KEYED,
        subscription=replace(KEYED.subscription, ack=Ack(AckBy.ID, when=(Match("result"),), id="id", key="result")),
    )
    ask = {"event": "subscribe", "channel": "trades"}
    said: list[Line] = [
        ("connect", "a", PUBLIC),
        ("send", "a", {**ask, "id": 1, "symbol": "A"}),
        ("send", "a", {**ask, "id": 2, "symbol": "B"}),
        ("recv", "a", {"id": 2, "result": "0xb"}),
        ("recv", "a", ["0xa", 1]),
        ("recv", "a", {"id": 1, "result": "0xa"}),
        ("recv", "a", ["0xa", 2]),
        ("recv", "a", ["0xb", 3]),
        ("send", "a", {"event": "unsubscribe", "id": 3, "chanId": "0xb"}),
        ("recv", "a", {"id": 3, "result": True}),
        ("recv", "a", ["0xb", 4]),
        ("recv", "a", ["0xa", 5]),
    ]
    found = [(line, channel) for line, channel, _ in fed(tmp_path, numbered, said)]
    assert found == [(5, "_unknown"), (7, "trades.A"), (8, "trades.B"), (11, "_unknown"), (12, "trades.A")]


def test_answers_in_order_tell_the_key_of_the_oldest_request() -> None:
    """One answer, one request; what answers no request tells nothing."""
    ordered = replace(KEYED.subscription, ack=Ack(AckBy.ORDER, when=(Match("ok"),), key="ok"))
    keys = Keys(replace(KEYED, subscription=ordered))
    for number, symbol in enumerate("AB"):
        keys.sent(json.dumps({"event": "subscribe", "id": number, "channel": "trades", "symbol": symbol}))
    assert keys.heard({"data": 1}) is None
    assert [keys.heard({"ok": key}) for key in (5, 6, 7)] == [Learned("5", "trades.A"), Learned("6", "trades.B"), None]
    assert keys.channels == {"5": "trades.A", "6": "trades.B"}


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("wss://api.venue.test/ws/2", "public"),
        ("wss://api-pub.venue.test/ws/2/", "public"),
        ("wss://old.venue.test:8443/ws/2?x=1", "public"),
        ("wss://futures.venue.test/stream/abc?token=1", "futures"),
        ("wss://elsewhere.test/ws/20", ""),
        ("", ""),
    ],
)
def test_an_address_tells_its_endpoint_by_its_fixed_part(url: str, endpoint: str) -> None:
    """The whole of it, or the path where the host has moved."""
    assert endpoint_of(KEYED, url) == endpoint


def test_routes_of_an_endpoint_take_only_what_came_from_there(tmp_path: Path) -> None:
    """By address, and where that is not known by what the connection asks for."""
    status = {"status": "up"}
    said: list[Line] = [
        ("connect", "a", PUBLIC),
        ("recv", "a", status),
        ("connect", "b", "wss://futures.venue.test/stream/abc"),
        ("recv", "b", status),
        ("recv", "c", status),
        ("send", "c", {"event": "subscribe", "id": 1, "channel": "trades", "symbol": "A"}),
        ("recv", "c", status),
    ]
    assert [channel for _, channel, _ in fed(tmp_path, KEYED, said)] == [
        "status.up",
        "_unknown",
        "_unknown",
        "status.up",
    ]


def test_answers_over_the_socket_are_payloads_of_the_channel_they_were_asked_for(tmp_path: Path) -> None:
    """By the channel they name, or by the request's number; an answer nobody asked for is unknown."""
    said: list[Line] = [
        ("connect", "a", PUBLIC),
        ("recv", "a", ack("A", 1)),
        ("recv", "a", ack("A", 2, "book")),
        ("recv", "a", [1, "x"]),
        ("recv", "a", [2, "x"]),
        ("send", "a", {"req": "trades.A", "id": "9"}),
        ("recv", "a", packed({"id": "9", "past": []})),
        ("recv", "a", {"id": "10", "past": []}),
        ("recv", "a", packed({"rep": "book.A", "data": []})),
    ]
    assert [channel for _, channel, _ in fed(tmp_path, KEYED, said)] == [
        "trades.A",
        "book.A",
        "trades.A",
        "_unknown",
        "book.A",
    ]


def test_answers_of_polls_find_their_channel_whatever_cursor_they_were_asked_with(tmp_path: Path) -> None:
    """The parameters that are the channel's own decide; those that move from request to request do not."""
    polled = replace(
        KEYED,
        families=(
            Family("trades", ("trades.${symbol}",), "public", poll=Poll("page", 1.0), fields=(("pair", "${symbol}"),)),
        ),
        requests=(Request("page", "https://venue.test/0/Trades?pair=${symbol}&since=${cursor}", Schema.TRADES),),
    )
    page = "https://venue.test/0/Trades"
    said: list[Line] = [
        ("http", "h", f"{page}?pair=B&since=1"),
        ("http", "h", f"{page}?pair=A&since=5"),
        ("http", "h", f"{page}?pair=B"),
        ("http", "h", "https://venue.test/0/Time?pair=B"),
        ("http", "h", page),
    ]
    found = [channel for _, channel, _ in fed(tmp_path, polled, said)]
    assert found == ["trades.B", "trades.A", "trades.B", "_unknown", "_unknown"]
