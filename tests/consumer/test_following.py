"""Following patterns on a real Redis: messages, decoding, repeats."""

from __future__ import annotations

import asyncio

import databento_dbn as dbn
import pytest

from tapeline.channels import ChannelName
from tapeline.consumer import Consumer, Message, Reason
from tapeline.errors import RedisUnavailableError, SettingError, UsageError
from tapeline.schemas import Schema
from tests.consumer.publishing import BOOK, TRADES, holes, messages, publishing, record, take, times, until


async def test_messages_of_matching_channels_come_whole_and_in_order(redis_url: str) -> None:
    """A pattern brings its channels and no others; each message says its channel and when it was read."""
    async with (
        publishing(redis_url) as publisher,
        Consumer(redis_url, ["MARKET_DATA.PRIMARY.MBO.*"], late_join=False) as consumer,
    ):
        await publisher.publish(TRADES, record(1, schema=Schema.TRADES))
        await publisher.publish(BOOK, record(1), record(2), record(3))
        await publisher.publish("MARKET_DATA.PRIMARY.MBO.Y.a.b?c", record(1))
        first, second = messages(await take(consumer, 2))
    assert first.channel == ChannelName("MARKET_DATA", "PRIMARY", Schema.MBO, "X", "book.A")
    assert second.channel.channel == "a.b?c"
    assert first.data == record(1) + record(2) + record(3)
    assert len(first) == 3
    assert 0 < first.received_ns <= second.received_ns
    assert not first.snapshot


async def test_records_decode_both_ways(redis_url: str) -> None:
    """The same bytes come as databento's own records and as a numpy array, field for field."""
    made = dbn.MBOMsg(
        60004,
        7,
        10,
        99,
        123_450_000_000,
        5,
        dbn.Action.from_str("A"),
        dbn.Side.from_str("B"),
        20,
        flags=0x80,
        sequence=3,
    )
    async with publishing(redis_url) as publisher, Consumer(redis_url, [BOOK], late_join=False) as consumer:
        await publisher.publish(BOOK, bytes(made), record(21))
        (message,) = messages(await take(consumer, 1))
    first, second = message.records()
    assert isinstance(first, dbn.MBOMsg)
    assert (first.price, first.size, first.order_id, first.sequence) == (123_450_000_000, 5, 99, 3)
    assert isinstance(second, dbn.MBOMsg)
    assert second.ts_recv == 21
    array = message.array()
    assert array["price"].tolist() == [123_450_000_000, 21]
    assert array["side"].tolist() == [b"B", b"B"]


async def test_a_name_and_overlapping_patterns_bring_a_message_once(redis_url: str) -> None:
    """A channel that several subscriptions take is delivered by one of them, an exact name with glob characters too."""
    odd = "MARKET_DATA.PRIMARY.MBO.X.book.A"
    patterns = ["MARKET_DATA.*", odd, "*.MBO.X.*", r"MARKET_DATA.PRIMARY.MBO.X.book.\A"]
    async with publishing(redis_url) as publisher, Consumer(redis_url, patterns, late_join=False) as consumer:
        await publisher.publish(odd, record(1, flags=0))
        await publisher.publish(odd, record(2))
        assert times(await take(consumer, 2)) == [1, 2]
        await until(lambda: consumer.counts.overlapping == 6)
        assert consumer.counts.repeats == 0


async def test_repeats_after_a_restart_are_dropped_and_counted(redis_url: str) -> None:
    """What a normalizer publishes again, cut up as it likes, is taken once."""
    async with publishing(redis_url) as publisher, Consumer(redis_url, [BOOK], late_join=False) as consumer:
        await publisher.publish(BOOK, record(1), record(2, flags=0), record(2, sequence=1))
        await publisher.publish(BOOK, record(3))
        await publisher.publish(BOOK, record(2, flags=0), record(2, sequence=1), record(3), record(4))
        await publisher.publish(BOOK, record(1))
        await publisher.publish(BOOK, record(5))
        taken = await take(consumer, 4)
        assert times(taken) == [1, 2, 2, 3, 4, 5]
        assert consumer.counts.repeats == 4
    assert not holes(taken)


async def test_batches_hold_what_a_read_brought(redis_url: str) -> None:
    """Iterating by batches gives the same messages in the same order."""
    async with publishing(redis_url) as publisher, Consumer(redis_url, ["MARKET_DATA.*"], late_join=False) as consumer:
        async with publisher.redis.pipeline(transaction=False) as pipe:
            for time in range(1, 501):
                pipe.publish(BOOK, record(time))
            await pipe.execute()
        had: list[int] = []
        batches = 0
        async for batch in consumer.batches():
            batches += 1
            had += times(batch)
            if len(had) == 500:
                break
    assert had == list(range(1, 501))
    assert batches < 500


async def test_foreign_channels_and_broken_data_are_counted_not_fatal(redis_url: str) -> None:
    """A name that is not ours is passed over, data that is no whole records is a hole; both are counted."""
    async with publishing(redis_url) as publisher, Consumer(redis_url, ["*"], late_join=False) as consumer:
        for channel in ("hello", "CONTROL.X", b"\xff"):
            await publisher.redis.publish(channel, b"x")
        await publisher.publish(BOOK, record(1)[:-1])
        await publisher.publish(BOOK, b"")
        await publisher.publish(BOOK, record(1), record(1, schema=Schema.TRADES)[:48] + bytes(8))
        await publisher.publish(BOOK, record(2))
        taken = await take(consumer, 4)
        assert [hole.reason for hole in holes(taken)] == [Reason.MALFORMED] * 3
        assert isinstance(taken[-1], Message)
        assert (consumer.counts.foreign, consumer.counts.malformed) == (3, 3)


async def test_a_doubtful_book_is_told_as_a_hole_once(redis_url: str) -> None:
    """The publisher's own flag of a doubtful book becomes a hole at its first record, and again only after it was clear."""
    doubt = 0x84
    async with publishing(redis_url) as publisher, Consumer(redis_url, [BOOK], late_join=False) as consumer:
        await publisher.publish(BOOK, record(1))
        for time, flags in ((2, doubt), (3, doubt), (4, 0x80), (5, doubt)):
            await publisher.publish(BOOK, record(time, flags=flags))
        taken = await take(consumer, 7)
    assert [(hole.from_ns, hole.to_ns) for hole in holes(taken)] == [(1, 2), (4, 5)]
    assert {hole.reason for hole in holes(taken)} == {Reason.DOUBTFUL}
    assert times(taken) == [1, 2, 3, 4, 5]


async def test_a_slow_caller_stops_the_reading_and_loses_nothing(redis_url: str) -> None:
    """Beyond its buffer the consumer lets Redis hold the rest, then goes on with it."""
    count = 4000
    async with (
        publishing(redis_url) as publisher,
        Consumer(redis_url, [BOOK], late_join=False, buffer_bytes=20_000) as consumer,
    ):
        for start in range(1, count, 500):
            async with publisher.redis.pipeline(transaction=False) as pipe:
                for time in range(start, start + 500):
                    pipe.publish(BOOK, record(time))
                await pipe.execute()
        await until(lambda: consumer._wire is not None and consumer._wire.paused)
        taken = await take(consumer, count)
    assert times(taken) == list(range(1, count + 1))


async def test_closing_ends_an_iteration(redis_url: str) -> None:
    """A loop over a consumer ends when it is closed."""
    consumer = Consumer(redis_url, ["MARKET_DATA.*"])
    async with consumer:
        loop = asyncio.create_task(take(consumer, 1))
        await asyncio.sleep(0)
        await consumer.close()
        with pytest.raises(StopAsyncIteration):
            await anext(consumer)
        (result,) = await asyncio.gather(loop, return_exceptions=True)
        assert isinstance(result, (StopAsyncIteration, RuntimeError))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "unix:///nowhere.sock"])
async def test_no_redis_is_a_clear_error(url: str) -> None:
    """A Redis that is not there is named."""
    with pytest.raises(RedisUnavailableError, match=r"127\.0\.0\.1:1|nowhere"):
        await Consumer(url, ["*"]).__aenter__()


async def test_a_wrong_password_is_a_clear_error(redis_url: str) -> None:
    """Redis's own words of refusal are passed on."""
    with pytest.raises(RedisUnavailableError, match="AUTH"):
        await Consumer(redis_url.replace("redis://", "redis://user:secret@"), ["*"]).__aenter__()


def test_wrong_arguments_are_refused() -> None:
    """No patterns, one string for a list, and a URL of another kind are each refused at once."""
    with pytest.raises(UsageError):
        Consumer("redis://h", [])
    with pytest.raises(UsageError):
        Consumer("redis://h", "MARKET_DATA.*")
    with pytest.raises(SettingError):
        Consumer("http://h", ["*"])
