"""What one read brought: routed in order, each frame understood before those behind it, stamps always rising."""

from __future__ import annotations

import asyncio
import gzip
import time

from session_manager.intake import Intake
from session_manager.provider import Provider, Running
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.schemas import Schema
from tapeline.spec.decoding import Compression, Inflate
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import Ack, AckBy, Batch, Endpoint, Family, Session, Subscription
from tapeline.spec.subscribe import Command
from tests.session_manager.fake_venue import FakeVenue, until

KEYED = Session(
    routing=Routing((Route("{@0}"),), (ChannelSchema("*", Schema.MBO),), Inflate(Compression.GZIP)),
    endpoints=(Endpoint("public", "wss://keyed.example/ws"),),
    families=(Family("book", ("book:${symbol}",), "public"),),
    subscription=Subscription(
        '{"event":"subscribe","channel":"book","symbol":"${symbol}"}',
        '{"event":"unsubscribe","chanId":${key}}',
        Ack(
            AckBy.CHANNEL,
            when=(Match("event", ("subscribed",)),),
            when_unsubscribed=(Match("event", ("unsubscribed",)),),
            channels=("book:{symbol}", "{@chanId}"),
            key="chanId",
        ),
        Batch.ONE,
    ),
    channels=("book:${symbol}",),
    symbols=("A",),
)


def _taken(provider: Provider) -> list[tuple[str, int, bytes]]:
    """Channel, stamp and bytes of all payloads so far."""
    cursor, _ = provider.ring.open("test", None)
    found = []
    while (item := provider.ring.read(cursor)) is not None:
        batch = SubscribeResponse.FromString(item.data).batch  # type: ignore[union-attr]  # nothing is lost here
        found += [(batch.channels[one.channel].name, one.ts_recv, one.data) for one in batch.payloads]
    provider.ring.release(cursor)
    return found


async def test_data_behind_the_ack_that_names_its_key_are_routed_though_one_read_brought_both() -> None:
    """Acks, data and a frame nobody knows in one burst: all in order, each on its channel, stamps strictly rising."""

    def answer(asked: Command) -> list[str]:
        symbol = asked.channels[0].removeprefix("book:")
        key = {"A": 7, "B": 8}[symbol]
        told = f'{{"event":"subscribed","channel":"book","chanId":{key},"symbol":"{symbol}"}}'
        return [f"[{key},0]", told, f"[{key},1]", '{"what":1}', f"[{key},2]"]

    async with FakeVenue(KEYED, answer) as venue:
        running = Running("keyed", "KEYED", "PRIMARY", time.time_ns(), 64 << 20, 0.001, venue.base)
        provider = Provider(KEYED, ["book:A", "book:B"], running)
        provider.start()
        try:
            await until(lambda: len(_taken(provider)) == 9)
            packed = gzip.compress(b"[8,3]")
            await venue.clients[0].send_bytes(packed)
            await until(lambda: len(_taken(provider)) == 10)
            found = _taken(provider)
        finally:
            await provider.stop()
    told = [(channel, data) for channel, _, data in found if channel != "_session"]
    assert told == [
        *(("_unknown" if data[:1] == b"{" or data[3:4] == b"0" else channel, data)
          for channel, key in (("book:A", b"7"), ("book:B", b"8"))
          for data in (b"[%b,0]" % key, b"[%b,1]" % key, b'{"what":1}', b"[%b,2]" % key)),
        ("book:B", packed),
    ]  # fmt: skip
    stamps = [stamp for _, stamp, _ in found]
    assert stamps == sorted(set(stamps))


def test_stamps_go_behind_what_was_stamped_since() -> None:
    """Only where something was, and only from the place given on; the next read comes later still."""
    loop = asyncio.new_event_loop()
    pushed: list[range] = []
    intake = Intake(lambda _, stamps, __: pushed.append(stamps), lambda: None, loop)
    first = time.time_ns() + 10**12
    intake.push(0, first, [b"a", b"b", b"c"])
    loop.close()
    stamps = pushed[0]
    assert list(stamps) == [first, first + 2, first + 4]
    assert intake.behind(stamps, 1) is stamps
    between = intake.stamp()
    assert between == first + 6
    moved = intake.behind(stamps, 1)
    assert len(moved) == 3
    assert list(moved)[1:] == [between + 2, between + 4]
    assert intake.behind(moved, 2) is moved
    assert intake.stamp() == between + 6
