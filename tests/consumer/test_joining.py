"""Late join and recovery on a real Redis: the book is complete, or the hole is told."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tapeline.consumer import Consumer, Hole, Message, Reason
from tapeline.redis_server import start_redis
from tapeline.schemas import Schema
from tests.consumer.publishing import (
    BOOK,
    TRADES,
    Publisher,
    book,
    holes,
    messages,
    publishing,
    record,
    take,
    times,
    until,
)

ALL = ["MARKET_DATA.PRIMARY.*"]


def quick(url: str, **options: float) -> Consumer:
    return Consumer(url, ALL, **{"settle_seconds": 0.2, "join_seconds": 1.0, **options})  # type: ignore[arg-type]


async def test_a_quiet_book_is_there_at_once(redis_url: str) -> None:
    """Where the keys stand for all that was published, a late joiner has the book before anything moves."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10))
        await publisher.at(5, 5)
        async with quick(redis_url, settle_seconds=30, join_seconds=30) as consumer:
            (message,) = messages(await take(consumer, 1))
            assert message.snapshot
            assert message.data == book(10)
            await publisher.publish(BOOK, record(11))
            assert times(await take(consumer, 1)) == [11]


async def test_live_updates_wait_for_a_snapshot_that_covers_what_came_before_us(redis_url: str) -> None:
    """A key that is behind what was published is not used; the next one is, and what it holds is not given twice."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10))
        await publisher.at(published=7, noted=5)
        async with quick(redis_url, settle_seconds=30, join_seconds=30) as consumer:
            for time in (20, 21, 22):
                await publisher.publish(BOOK, record(time))
            await publisher.publish(TRADES, record(20, schema=Schema.TRADES))
            # Trades need no joining; when they are here, so were the book's updates.
            assert messages(await take(consumer, 1))[0].channel.schema is Schema.TRADES
            await publisher.keep(BOOK, book(21, levels=5))
            await publisher.at(published=9, noted=9)
            taken = await take(consumer, 2)
            assert times(taken) == [21] * 6 + [22]
            assert messages(taken)[0].snapshot
            assert consumer.counts.repeats == 2


async def test_an_overlap_proves_the_join_where_no_position_is_told(redis_url: str) -> None:
    """Without positions a snapshot is taken once it holds the first live update."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10))
        async with quick(redis_url, settle_seconds=30, join_seconds=30) as consumer:
            await publisher.publish(BOOK, record(20))
            await publisher.publish(BOOK, record(21))
            await until(lambda: consumer.counts.messages == 0 and bool(consumer._channels))
            await publisher.keep(BOOK, book(20))
            taken = await take(consumer, 2)
    assert times(taken) == [20] * 4 + [21]
    assert not holes(taken)


async def test_a_quiet_book_without_position_is_taken_when_it_has_settled(redis_url: str) -> None:
    """A key of a channel that stays quiet longer than the publisher takes to write it is as good as new."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10))
        async with quick(redis_url) as consumer:
            assert times(await take(consumer, 1)) == [10] * 4


async def test_a_book_that_cannot_be_joined_is_told_as_a_hole(redis_url: str) -> None:
    """When no snapshot connects in time, the hole comes first, then what there is."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10))
        async with quick(redis_url, join_seconds=0.2) as consumer:
            await publisher.publish(BOOK, record(20))
            hole, snapshot, live = await take(consumer, 3)
    assert holes([hole])[0].reason is Reason.UNJOINED
    assert holes([hole])[0].pattern == BOOK
    assert times([snapshot, live]) == [10] * 4 + [20]


async def test_a_book_that_begins_needs_no_key(redis_url: str) -> None:
    """A channel whose first live record clears the book is complete from there."""
    async with publishing(redis_url) as publisher, quick(redis_url, join_seconds=30) as consumer:
        await publisher.publish(BOOK, book(10), record(11))
        await publisher.publish(BOOK, record(12))
        assert times(await take(consumer, 2)) == [10] * 4 + [11, 12]


async def test_deltas_that_waited_for_a_requested_snapshot_are_kept(redis_url: str) -> None:
    """In one message with its snapshot, deltas may be older than it; repeated later, all of it is dropped."""
    joined = [book(10), record(8), record(9)]
    async with publishing(redis_url) as publisher, quick(redis_url) as consumer:
        await publisher.publish(BOOK, *joined)
        await publisher.publish(BOOK, record(11))
        await publisher.publish(BOOK, *joined)
        await publisher.publish(BOOK, record(12))
        assert times(await take(consumer, 3)) == [10] * 4 + [8, 9, 11, 12]
        assert consumer.counts.repeats == 6


async def test_several_books_on_one_channel_are_told_apart(redis_url: str) -> None:
    """Each instrument of a channel is joined and deduplicated by its own times."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10, instrument=1) + book(30, instrument=2))
        await publisher.at(5, 5)
        async with quick(redis_url) as consumer:
            assert len(messages(await take(consumer, 1))[0]) == 8
            await publisher.publish(
                BOOK,
                record(11, instrument=1),
                record(29, instrument=2),
                record(30, instrument=2),
                record(31, instrument=2),
            )
            await publisher.publish(BOOK, record(11, instrument=1), record(12, instrument=1), record(5, instrument=3))
            assert times(await take(consumer, 2)) == [11, 31, 12, 5]


async def test_other_schemas_start_with_the_last_that_is_known(redis_url: str) -> None:
    """The last trade and the definition are given at once, marked as snapshots, and not again when they come live."""
    definition = "MARKET_DATA.PRIMARY.DEFINITION.X.A"
    async with publishing(redis_url) as publisher:
        await publisher.keep(TRADES, record(10, schema=Schema.TRADES))
        await publisher.keep(definition, record(3, schema=Schema.DEFINITION))
        async with quick(redis_url) as consumer:
            first = messages(await take(consumer, 2))
            assert {message.channel.schema for message in first} == {Schema.TRADES, Schema.DEFINITION}
            assert all(message.snapshot for message in first)
            await publisher.publish(definition, record(3, schema=Schema.DEFINITION))
            await publisher.publish(TRADES, record(10, schema=Schema.TRADES), record(11, schema=Schema.TRADES))
            assert times(await take(consumer, 1)) == [11]


async def test_records_without_flags_are_told_apart_by_what_they_say(redis_url: str) -> None:
    """Several statistics of one payload are all taken, in one message or in more, and none of them twice."""
    channel = "MARKET_DATA.PRIMARY.STATISTICS.X.ticker.A"
    one, two, three = (record(5, schema=Schema.STATISTICS, sequence=number) for number in range(3))
    async with publishing(redis_url) as publisher, quick(redis_url) as consumer:
        await publisher.publish(channel, one, two)
        await publisher.publish(channel, three)
        await publisher.publish(channel, one, two)
        await publisher.publish(channel, three, record(6, schema=Schema.STATISTICS))
        assert times(await take(consumer, 3)) == [5, 5, 5, 6]
        assert consumer.counts.repeats == 3


async def lose(publisher: Publisher, consumer: Consumer) -> None:
    """Cuts the consumer off, once it is subscribed."""
    before = consumer.counts.reconnects
    await publisher.kill_subscribers()
    await until(lambda: consumer.counts.reconnects == before + 1)


async def test_a_cut_connection_is_a_hole_then_a_fresh_book(redis_url: str) -> None:
    """After a forced disconnect: the hole with its pattern and times, the book anew, then live updates from there on."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10))
        await publisher.at(1, 1)
        async with quick(redis_url, join_seconds=30) as consumer:
            await publisher.publish(BOOK, record(11))
            before = await take(consumer, 2)
            await publisher.kill_subscribers()
            # Not heard by us: between the cut and the new subscription.
            await publisher.keep(BOOK, book(20, levels=6))
            await publisher.at(2, 2)
            await until(lambda: consumer.counts.reconnects == 1)
            await publisher.publish(BOOK, record(21))
            hole, *rest = await take(consumer, 3)
    assert times(before) == [10] * 4 + [11]
    (told,) = holes([hole])
    assert (told.pattern, told.reason) == (ALL[0], Reason.DISCONNECTED)
    assert messages(before)[-1].received_ns <= told.from_ns <= told.to_ns
    assert times(rest) == [20] * 7 + [21]
    assert messages(rest)[0].snapshot


async def test_where_nothing_was_missed_the_book_goes_on(redis_url: str) -> None:
    """A cut in a quiet time is told, but the book is not given again: the key holds nothing that we had not."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK, book(10))
        await publisher.at(1, 1)
        async with quick(redis_url) as consumer:
            await take(consumer, 1)
            await lose(publisher, consumer)
            await until(
                lambda: all(channel is None or channel.waiting is None for channel in consumer._channels.values())
            )
            await publisher.publish(BOOK, record(11))
            taken = await take(consumer, 2)
    assert [type(item) for item in taken] == [type(holes(taken)[0]), Message]
    assert times(taken) == [11]


async def test_without_late_join_a_cut_is_told_all_the_same(redis_url: str) -> None:
    """A consumer that wants no snapshots still learns of every hole, once for each of its patterns."""
    patterns = ["MARKET_DATA.PRIMARY.MBO.*", TRADES]
    async with publishing(redis_url) as publisher, Consumer(redis_url, patterns, late_join=False) as consumer:
        await lose(publisher, consumer)
        assert [hole.pattern for hole in holes(await take(consumer, 2))] == patterns
        await lose(publisher, consumer)
        await publisher.publish(TRADES, record(1, schema=Schema.TRADES))
        assert times(await take(consumer, 3)) == [1]


@pytest.mark.parametrize("silence", [0.3])
async def test_a_silent_connection_is_lost_a_quiet_one_is_not(redis_url: str, silence: float) -> None:
    """A quiet Redis answers our pings and is kept; one that is stopped is left, and the hole is told when it is back."""
    async with (
        publishing(redis_url) as publisher,
        Consumer(redis_url, ALL, late_join=False, silence_seconds=silence) as consumer,
    ):
        wire = consumer._wire
        assert wire is not None
        at = wire.last_ns
        await until(lambda: wire.last_ns - at > 3 * silence * 1e9)
        assert consumer.counts.reconnects == 0
        server = int((await publisher.redis.info("server"))["process_id"])
        os.kill(server, signal.SIGSTOP)
        try:
            await asyncio.wait_for(wire.closed, 10)
        finally:
            os.kill(server, signal.SIGCONT)
        assert [hole.reason for hole in holes(await take(consumer, 1))] == [Reason.DISCONNECTED]


async def test_being_cut_off_for_slowness_is_told(tmp_path: Path) -> None:
    """A caller too slow for Redis gets what was sent, then the hole and its reason, then what comes after it."""
    with start_redis(tmp_path) as redis:
        async with publishing(redis.url) as publisher:
            await publisher.redis.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
            async with Consumer(redis.url, ALL, late_join=False, buffer_bytes=100_000) as consumer:
                many = [
                    b"".join(record(time) for time in range(start, start + 100)) for start in range(1, 300_001, 100)
                ]
                for start in range(0, len(many), 300):
                    async with publisher.redis.pipeline(transaction=False) as pipe:
                        for data in many[start : start + 300]:
                            pipe.publish(BOOK, data)
                        await pipe.execute()
                before: list[Message | Hole] = []
                while not holes(before):
                    before += await take(consumer, 1)
                await publisher.publish(BOOK, record(1_000_000))
                after = await take(consumer, 1)
    had = times(before)
    assert had == list(range(1, len(had) + 1))
    assert len(had) < 300_000
    assert holes(before)[0].reason is Reason.SLOW
    assert times(after) == [1_000_000]
