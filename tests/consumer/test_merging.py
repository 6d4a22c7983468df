"""The SDK on both instances of a real Redis: one gapless stream, whatever becomes of either."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from tapeline.channels import ChannelName
from tapeline.consumer import Consumer, MergeOptions, Message, Mode, Reason
from tapeline.consumer.layout import LAYOUTS
from tapeline.consumer.merging import Listening, both
from tapeline.errors import UsageError
from tapeline.schemas import Schema
from tests.consumer.publishing import (
    BOOK,
    F_SNAPSHOT,
    TRADES,
    Publisher,
    holes,
    messages,
    publishing,
    record,
    take,
    until,
)

F_LAST, F_MAYBE_BAD_BOOK = 0x80, 0x04
SECOND = 1_000_000_000
BEGUN = record(900, action="R", flags=F_SNAPSHOT, sequence=100) + record(900, flags=F_SNAPSHOT | F_LAST, sequence=100)


def of(instance: str, channel: str) -> str:
    """An instance's channel."""
    return channel.replace("PRIMARY", instance)


def trade(instance: str, ident: int) -> bytes:
    """The same trade as each instance publishes it."""
    row = np.frombuffer(record(1000 + ident, schema=Schema.TRADES, action="T", sequence=ident), LAYOUTS[Schema.TRADES].dtype).copy()  # fmt: skip
    row["ts_recv"] += instance == "REPLICA"
    row["publisher_id"] = 60004 + (instance == "REPLICA")
    return row.tobytes()


def delta(instance: str, sequence: int, flags: int = 0) -> bytes:
    """The same book message as each instance publishes it."""
    row = np.frombuffer(record(1000 + 2 * (sequence - 100), flags=F_LAST | flags, sequence=sequence), LAYOUTS[Schema.MBO].dtype).copy()  # fmt: skip
    row["ts_recv"] += instance == "REPLICA"
    row["publisher_id"] = 60004 + (instance == "REPLICA")
    return row.tobytes()


def merging(url: str, mode: Mode = Mode.MERGE, **options: float) -> Consumer:
    return Consumer(
        url, ["MARKET_DATA.MERGED.*"], mode=mode, merge=MergeOptions(**options),  # type: ignore[arg-type]
        settle_seconds=0.2, join_seconds=1.0,
    )  # fmt: skip


async def said(publisher: Publisher, instance: str, *trades: int) -> None:
    for ident in trades:
        await publisher.publish(of(instance, TRADES), trade(instance, ident))


def ids(items: list[Message]) -> list[int]:
    return [int(row["sequence"]) for item in items for row in item.array()]


def test_who_sleeps_does_not_take_its_own_sleep_for_the_others_silence() -> None:
    """Small pauses are time; of a long one only a little is, and the clock never falls."""
    clock = Listening(5 * SECOND)
    told = [clock.at(at) for at in (5 * SECOND, 5 * SECOND + 20_000_000, 65 * SECOND, 65 * SECOND + 20_000_000)]
    assert told[1] - told[0] == told[3] - told[2] == 20_000_000
    assert told[2] - told[1] == 100_000_000


async def test_what_both_bring_is_given_once_and_what_one_lacks_is_filled_in(redis_url: str) -> None:
    """Each instance lacks something else; the channel is MERGED's, and so is the publisher."""
    async with publishing(redis_url) as publisher, merging(redis_url) as consumer:
        await said(publisher, "PRIMARY", 1, 2)
        await said(publisher, "REPLICA", 1, 2, 3, 4)
        await said(publisher, "PRIMARY", 4, 5)
        given = messages(await take(consumer, 5))
        assert ids(given) == [1, 2, 3, 4, 5]
        assert {item.channel.format() for item in given} == {of("MERGED", TRADES)}
        assert {int(row["publisher_id"]) for item in given for row in item.array()} == {60006}
        assert all(0 <= time.time_ns() - item.received_ns < 60 * SECOND for item in given)
        assert consumer.merging is not None
        assert consumer.merging.merger.counters()["twins"] == 3


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.FAILOVER])
async def test_one_instance_dies_in_the_middle_and_the_book_goes_on(mode: Mode, redis_url: str) -> None:
    """A late joiner takes the book from whichever key is there; then PRIMARY stops for good, and no message is missing."""
    async with publishing(redis_url) as publisher:
        for instance in ("PRIMARY", "REPLICA"):
            await publisher.keep(of(instance, BOOK), BEGUN)
        async with merging(redis_url, mode, patience_seconds=0.1) as consumer:
            (first,) = messages(await take(consumer, 1))
            assert first.snapshot
            for number in range(101, 121):
                for instance in ("PRIMARY", "REPLICA"):
                    if instance == "REPLICA" or number <= 110:
                        await publisher.publish(of(instance, BOOK), delta(instance, number))
            given: list[int] = []
            while len(given) < 20:
                given += ids(messages([await anext(consumer)]))
            assert given == list(range(101, 121))


async def test_an_instance_in_doubt_is_no_hole_of_the_merged_stream(redis_url: str) -> None:
    """PRIMARY flags its book; REPLICA's clean copies are given instead, and no hole is told."""
    async with publishing(redis_url) as publisher:
        for instance in ("PRIMARY", "REPLICA"):
            await publisher.keep(of(instance, BOOK), BEGUN)
        async with merging(redis_url) as consumer:
            await take(consumer, 1)
            await publisher.publish(BOOK, delta("PRIMARY", 101))
            await publisher.publish(BOOK, delta("PRIMARY", 104, F_MAYBE_BAD_BOOK))
            await publisher.publish(BOOK, delta("PRIMARY", 105, F_MAYBE_BAD_BOOK))
            for number in range(101, 106):
                await publisher.publish(of("REPLICA", BOOK), delta("REPLICA", number))
            items = await take(consumer, 5)
            assert not holes(items)
            assert ids(messages(items)) == [101, 102, 103, 104, 105]
            assert not any(row["flags"] & F_MAYBE_BAD_BOOK for item in messages(items) for row in item.array())


async def test_a_gap_that_both_have_is_told(redis_url: str) -> None:
    """Both flag their books: the messages come flagged, with a hole before them."""
    async with publishing(redis_url) as publisher:
        for instance in ("PRIMARY", "REPLICA"):
            await publisher.keep(of(instance, BOOK), BEGUN)
        async with merging(redis_url, wait_seconds=0.05) as consumer:
            await take(consumer, 1)
            for instance in ("PRIMARY", "REPLICA"):
                await publisher.publish(of(instance, BOOK), delta(instance, 101))
                await publisher.publish(of(instance, BOOK), delta(instance, 104, F_MAYBE_BAD_BOOK))
            items = await take(consumer, 3)
            assert [hole.reason for hole in holes(items)] == [Reason.DOUBTFUL]
            assert holes(items)[0].pattern == of("MERGED", BOOK)


async def test_a_lost_connection_is_told_once(redis_url: str) -> None:
    """Both instances come by one connection, which is one hole."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(of("REPLICA", TRADES), trade("REPLICA", 1))
        async with merging(redis_url) as consumer:
            (last,) = messages(await take(consumer, 1))
            assert last.snapshot
            await publisher.kill_subscribers()
            items = await take(consumer, 1)
            told = [(hole.reason, hole.pattern) for hole in holes(items)]
            assert told == [(Reason.DISCONNECTED, "MARKET_DATA.MERGED.*")]
            await said(publisher, "PRIMARY", 1, 2)
            assert ids(messages(await take(consumer, 1))) == [2]


async def test_failover_gives_primarys_and_takes_replica_while_its_sessions_are_down(redis_url: str) -> None:
    """STATUS of `_session` says so, at once and for all channels; the caller, who did not ask for it, does not get it."""
    session = ChannelName("MARKET_DATA", "PRIMARY", Schema.STATUS, "X", "_session").format()
    row = np.frombuffer(record(5, schema=Schema.STATUS, instrument=0), LAYOUTS[Schema.STATUS].dtype).copy()
    row["is_quoting"] = b"N"
    consumer = Consumer(
        redis_url, [of("MERGED", TRADES)], mode="failover", merge=MergeOptions(patience_seconds=60), settle_seconds=0.2
    )
    async with publishing(redis_url) as publisher, consumer:
        await said(publisher, "REPLICA", 1, 2)
        await said(publisher, "PRIMARY", 1)
        assert ids(messages(await take(consumer, 1))) == [1]
        await publisher.publish(session, row.tobytes())
        await said(publisher, "REPLICA", 3)
        given: list[int] = []
        async with asyncio.timeout(5):
            while len(given) < 2:
                given += ids(messages([await anext(consumer)]))
        assert given == [2, 3]


async def test_nothing_is_kept_for_a_twin_that_has_come(redis_url: str) -> None:
    """Both instances whole: memory stays empty."""
    async with publishing(redis_url) as publisher, merging(redis_url) as consumer:
        for number in range(1, 101):
            await said(publisher, "PRIMARY", number)
            await said(publisher, "REPLICA", number)
        await take(consumer, 100)
        merging_ = consumer.merging
        assert merging_ is not None
        await until(lambda: merging_.merger.counters()["twins"] == 100)
        assert merging_.merger.memory_bytes == 0


def test_patterns_name_the_instance_where_instances_are_merged() -> None:
    """Any of them, or a star; what it replaces must be known."""
    assert both(["MARKET_DATA.*.TRADES.X.*"]) == ["MARKET_DATA.PRIMARY.TRADES.X.*", "MARKET_DATA.REPLICA.TRADES.X.*"]
    with pytest.raises(UsageError):
        both(["MARKET_DATA.*TRADES*"])
