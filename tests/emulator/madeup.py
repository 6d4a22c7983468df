"""A venue that does not exist, with what the real ones do differently: packing, keys, tokens, questions over the socket, polls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from emulator import halves, run
from emulator.generic import Generic
from emulator.reel import COUNTER_MARK, ID_MARK, KEY_MARK, Clock
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Trade
from emulator.synth.pages import trades
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Ask
from tapeline.schemas import Schema
from tapeline.spec.decoding import Decoder, Protobuf, ProtoField, ProtoKind, ProtoMessage
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Carrier,
    ClientPing,
    Endpoint,
    Family,
    Poll,
    Prepare,
    Request,
    Resync,
    ServerPing,
    Session,
    Subscription,
)
from tapeline.spec.subscribe import Channel

NAME = "madeup"
PROTOBUF = Protobuf(
    "Push",
    (
        ProtoMessage(
            "Push",
            (
                ProtoField(1, "ch"),
                ProtoField(2, "ts", ProtoKind.INTEGER),
                ProtoField(3, "trade", ProtoKind.MESSAGE, "Trade"),
                ProtoField(4, "book", ProtoKind.MESSAGE, "Book"),
            ),
        ),
        ProtoMessage("Trade", (ProtoField(1, "id", ProtoKind.INTEGER), ProtoField(2, "p"), ProtoField(3, "q"))),
        ProtoMessage(
            "Book",
            (ProtoField(1, "seq", ProtoKind.TEXT), ProtoField(2, "levels", ProtoKind.TEXT, repeated=True)),
        ),
    ),
)
SESSION = Session(
    routing=Routing((Route("{ch}", (Match("ch"),)),), (ChannelSchema("*", Schema.TRADES),)),
    endpoints=(Endpoint("public", "wss://ws.madeup.example/v1"),),
    families=(
        Family("trade", ("trade.${symbol}",), "public"),
        Family("book", ("book.${symbol}",), "public", resync=Resync.REQUEST, snapshot="book"),
        Family("tape", ("tape.${symbol}",), "", poll=Poll("tape", every=1.0, cursor="last", first="0")),
    ),
    subscription=Subscription(
        subscribe='{"op":"sub","args":[${args}],"id":${id}}',
        unsubscribe='{"op":"unsub","args":[${args}],"id":${id}}',
        ack=Ack(AckBy.CHANNEL, (Match("event", ("sub",)),), id="id", channels=("{ch}",)),
    ),
    channels=("trade.${symbol}", "book.${symbol}"),
    symbols=("AB", "CD"),
    requests=(
        Request(
            "book",
            "",
            Schema.MBO,
            message='{"req":"${channel}","id":${id}}',
            answer=(Match("rep"),),
            id="id",
            answer_channel="{rep}",
        ),
        Request("tape", "https://api.madeup.example/tape?s=${symbol}&since=${cursor}", Schema.TRADES),
    ),
    client_pings=(ClientPing('{"op":"ping","id":${id}}', 20.0, 10.0, pong=(Match("op", ("pong",)),)),),
    server_pings=(ServerPing(Carrier.JSON, (Match("ping"),), '{"pong":${=ping}}', every=5.0),),
)
PREPARED = Endpoint(
    "public",
    "${place}?token=${token}&connectId=${nonce}",
    prepare=Prepare(
        "https://api.madeup.example/bullet",
        (("place", "data.servers.0.endpoint"), ("token", "data.token"), ("beat", "data.servers.0.pingInterval")),
        failed=(Match("code", ("200000",), absent=True),),
    ),
)


class Market(Script):
    """Trades, deltas, snapshots over the socket, pages."""

    clock = Clock.MILLIS

    def write(self, known: Channel, beat: Beat) -> Written | None:
        head = f'"ch":"{known.id}","ts":{self.clock.mark}'
        if known.family.name == "trade" and isinstance(beat.event, Trade):
            price, size = beat.listing.price(beat.event.price), beat.listing.quantity(beat.event.size)
            return f'{{{head},"trade":{{"id":{ID_MARK},"p":"{price}","q":"{size}"}}}}', (beat.event.id,)
        if known.family.name == "book" and isinstance(beat.event, Depth):
            levels = ",".join(f'"{c.side}:{c.price}:{c.size}"' for c in beat.event.changes)
            return f'{{{head},"book":{{"seq":"{ID_MARK}","levels":[{levels}]}}}}', (beat.serial,)
        return None

    def snapshot(self, ask: Ask, view: View) -> str:
        book, _ = view.published()
        levels = ",".join(f'"{side}:{p}:{q}"' for side in (BID, ASK) for p, q in book.levels(side))
        return f'{{"rep":"{ask.channel}","id":{ask.number},"seq":"{view.serial}","levels":[{levels}]}}'

    def page(self, ask: Ask, view: View) -> str:
        told = trades(view, ask, self.period, after_id=int(ask.cursor), limit=50)
        entries = ",".join(f'{{"id":{one.id},"ts":{one.ts}}}' for one in told)
        return f'{{"trades":[{entries}],"last":{told[-1].id if told else ask.cursor}}}'


class KeyedMarket(Market):
    """Frames name their channel by the connection's key, and count."""

    def write(self, known: Channel, beat: Beat) -> Written | None:
        written = super().write(known, beat)
        return (f"[{KEY_MARK},{written[0]},{COUNTER_MARK}]", written[1]) if written else None


LISTINGS = (
    Listing("AB", "A", "B", 63_000, 1, 1, 1, 4, 9_000),
    Listing("CD", "C", "D", 2_000, 1, 2, 1, 2, 300),
)


@contextmanager
def known(
    monkeypatch: pytest.MonkeyPatch, decoder: Decoder | None = None, market: type[Script] = Market, **changes: object
) -> Iterator[Session]:
    """The venue is known to the emulator, with changes to its session half."""
    session = replace(SESSION, routing=replace(SESSION.routing, decoder=decoder), **changes)  # type: ignore[arg-type]  # fields by name
    venue = Generic(NAME, market, LISTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(halves, "session", lambda name: session)
        patch.setattr(run, "emulation", lambda name: venue)
        yield session
