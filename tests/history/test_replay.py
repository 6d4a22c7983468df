"""History as a feed, to the SDK's consumer over a real Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from redis.asyncio import Redis

from tapeline import redis_keys
from tapeline.channels import REPLAY, ChannelName
from tapeline.consumer import Consumer, Definitions, Reason
from tapeline.consumer.layout import LAYOUTS
from tapeline.errors import UsageError
from tapeline.history.choice import NothingThereError
from tapeline.history.export import export
from tapeline.history.lease import ReplayRunningError
from tapeline.history.player import moment_ns, sets
from tapeline.history.schedule import Schedule
from tapeline.history.span import Span
from tapeline.offline.lake import Lake
from tapeline.schemas import Schema
from tests.history.lakes import DAY_NS, MIDNIGHT, Truth, copy_lake, make_lake, make_lake_over_midnight, truth
from tests.history.playing import ALL, WHOLE, Gate, Heard, book, books, chosen, holes, listening, play, until
from tests.support.redis_cluster import RedisCluster

PROVIDERS = {"BINANCE_SPOT", "KRAKEN", "DERIBIT", "OKX"}


def check(heard: Heard, canonical: Truth, start: int = 0, end: int = 1 << 62) -> None:
    """Each channel's records of a span, all of them, in order, byte for byte."""
    wanted = canonical.channels(start, end)
    assert {name for name, messages in heard.messages.items() if messages} == wanted
    for channel in sorted(wanted):
        assert heard.of(channel) == canonical.of(channel, start, end), channel


@pytest.mark.parametrize("raw", [False, True])
async def test_a_consumer_gets_exactly_the_canonical_records(
    lake: Path, canonical: Truth, redis_url: str, *, raw: bool
) -> None:
    """Two days of four venues: every channel's records byte for byte, whether as stored or normalized anew."""
    async with listening(redis_url) as (heard, consumer):
        played = await play(lake, redis_url, raw=raw)
        await until(lambda: heard.ended == PROVIDERS)
    check(heard, canonical)
    assert not holes(heard)
    assert (played.records, played.stopped) == (len(canonical.record), False)
    assert consumer.counts.repeats == 0


@pytest.mark.parametrize("raw", [False, True])
async def test_units_that_share_a_day_are_one_stream(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, *, raw: bool
) -> None:
    """A day made in several units is replayed as one, the raw payloads too."""
    monkeypatch.setattr("postprocess.plan.SHARD_BYTES", 4000)
    shared = make_lake(tmp_path, ["deribit"])
    canonical = truth(shared)
    choice, _ = chosen(shared, Span(MIDNIGHT, MIDNIGHT + DAY_NS))
    assert len(choice.days[0].units) > 1
    async with listening(redis_url) as (heard, _):
        await play(shared, redis_url, raw=raw)
        await until(lambda: heard.ended)
    check(heard, canonical)


@pytest.mark.parametrize("raw", [False, True])
async def test_a_day_that_goes_on_from_the_day_before_is_whole(tmp_path: Path, redis_url: str, *, raw: bool) -> None:
    """The books as of midnight, then the day's records, stored or normalized anew: the same, and the right book in the end."""
    lake = make_lake_over_midnight(tmp_path, "kraken")
    canonical = truth(lake)
    async with listening(redis_url) as (heard, _):
        await play(lake, redis_url, Span(MIDNIGHT + DAY_NS, MIDNIGHT + 2 * DAY_NS), raw=raw)
        await until(lambda: heard.ended)
    assert any(name.startswith("MBO.") for name in heard.messages)
    check(heard, canonical, MIDNIGHT + DAY_NS)


async def test_no_venue_message_is_torn_apart(lake: Path, redis_url: str) -> None:
    """Each Redis message of a book ends with the last record of a venue message, as live ones do."""
    async with listening(redis_url) as (heard, _):
        await play(lake, redis_url)
        await until(lambda: heard.ended == PROVIDERS)
    for channel in books(heard.messages):
        for data in heard.messages[channel]:
            assert np.frombuffer(data, LAYOUTS[Schema.MBO].dtype)["flags"][-1] & 0x80


async def test_what_patterns_name_is_published_and_no_more(lake: Path, canonical: Truth, redis_url: str) -> None:
    """A glob over whole names, one of a live instance, or one that leaves out how they all begin."""
    patterns = ["TRADES.KRAKEN.*", "MARKET_DATA.PRIMARY.MBP_1.OKX.tickers.*"]
    async with listening(redis_url) as (heard, _):
        await play(lake, redis_url, patterns=patterns)
        await until(lambda: heard.ended == {"KRAKEN", "OKX"})
    wanted = {name for name in canonical.channels() if name.startswith(("TRADES.KRAKEN.", "MBP_1.OKX.tickers."))}
    assert wanted
    assert {name for name, messages in heard.messages.items() if messages} == wanted


async def test_definitions_are_known_though_no_pattern_names_them(lake: Path, redis_url: str) -> None:
    """Without them no consumer could read a price: their keys are there for whatever is replayed."""
    async with listening(redis_url) as (heard, _), Definitions(redis_url) as definitions:
        await play(lake, redis_url, patterns=["TRADES.KRAKEN.*"])
        await until(lambda: heard.ended)
        for name, messages in heard.messages.items():
            channel = ChannelName.parse(f"MARKET_DATA.REPLAY.{name}")
            for row in np.frombuffer(b"".join(messages), LAYOUTS[channel.schema].dtype):
                found = await definitions.find(channel, int(row["instrument_id"]))
                assert found is not None
                assert channel.channel.endswith(found.symbol)


async def test_a_replay_from_the_middle_begins_with_whole_books(lake: Path, canonical: Truth, redis_url: str) -> None:
    """Each book is told as it stood, then what follows: in the end it is the book of the whole day."""
    middle = canonical.middle()
    span = Span(middle, MIDNIGHT + DAY_NS)
    async with listening(redis_url) as (heard, _):
        await play(lake, redis_url, span)
        await until(lambda: heard.ended == PROVIDERS)
    assert not holes(heard)
    assert len(books(canonical.channels(end=middle))) > 5
    for channel in books(canonical.channels(span.start, span.end)):
        told = heard.of(channel)
        after = canonical.of(channel, span.start, span.end)
        assert told.endswith(after)
        before = canonical.of(channel, end=middle)
        assert book(told[: len(told) - len(after)]) == book(before), channel
        assert book(told) == book(before, after)
    for channel in canonical.channels(span.start, span.end):
        if channel.startswith(("TRADES.", "OHLCV_1M.")):
            # What happened before is no news.
            assert heard.of(channel) == canonical.of(channel, span.start, span.end)


async def test_a_consumer_joins_in_the_middle(lake: Path, canonical: Truth, redis_url: str) -> None:
    """Who comes late has every book whole, by its key and what follows, and nothing twice."""
    gate = Gate(300_000_000)
    playing = asyncio.create_task(play(lake, redis_url, speed=1.0, clock=gate, flush_seconds=1e-9))
    await until(gate.reached.is_set)
    async with listening(redis_url, settle_seconds=0.2) as (heard, _):
        channels = books(canonical.channels(MIDNIGHT, MIDNIGHT + 200_000_000))
        await until(lambda: all(channel in heard.snapshots for channel in channels))
        gate.let_through()
        await playing
        await until(lambda: heard.ended == PROVIDERS)
    assert not holes(heard)
    assert len(channels) > 5
    for channel in books(canonical.channels()):
        assert book(heard.snapshots.get(channel, b""), heard.of(channel)) == book(canonical.of(channel)), channel
    for channel, key in heard.snapshots.items():
        assert canonical.of(channel).endswith(heard.of(channel)), channel
        assert key


async def test_a_consumer_that_is_cut_off_joins_again(lake: Path, canonical: Truth, redis_url: str) -> None:
    """It is told of the hole, and its books are whole again."""
    gate = Gate(300_000_000)
    playing = asyncio.create_task(play(lake, redis_url, speed=1.0, clock=gate, flush_seconds=1e-9))
    async with listening(redis_url, settle_seconds=0.2) as (heard, consumer), Redis.from_url(redis_url) as redis:
        await until(gate.reached.is_set)
        await redis.client_kill_filter(_type="pubsub")
        await until(lambda: consumer.counts.reconnects)
        gate.let_through()
        await playing
        await until(lambda: heard.ended == PROVIDERS)
    assert holes(heard) == {Reason.DISCONNECTED}
    for channel in books(canonical.channels()):
        assert book(heard.snapshots.get(channel, b""), heard.of(channel)) == book(canonical.of(channel)), channel


async def test_a_lost_connection_loses_nothing(lake: Path, canonical: Truth, redis_url: str) -> None:
    """History waits until Redis is there again; what had been under way goes out again and is taken once."""
    gate = Gate(300_000_000)
    async with listening(redis_url) as (heard, _), Redis.from_url(redis_url) as redis:
        playing = asyncio.create_task(play(lake, redis_url, speed=1.0, clock=gate))
        await until(gate.reached.is_set)
        assert await redis.client_kill_filter(_type="normal", skipme=True)
        gate.let_through()
        await playing
        await until(lambda: heard.ended == PROVIDERS)
    check(heard, canonical)
    assert holes(heard) == set()


async def test_a_lake_in_s3_is_replayed_and_exported(
    lake: Path, canonical: Truth, redis_url: str, s3_store: str, tmp_path: Path
) -> None:
    """Where the tables are makes no difference."""
    copy_lake(lake, s3_store)
    span = Span(canonical.middle(), MIDNIGHT + DAY_NS)
    for raw in (False, True):
        async with listening(redis_url) as (heard, _):
            await play(s3_store, redis_url, span, ["TRADES.*"], raw=raw)
            await until(lambda: heard.ended == PROVIDERS)
        for channel in canonical.channels(span.start, span.end):
            if channel.startswith("TRADES."):
                assert heard.of(channel) == canonical.of(channel, span.start, span.end)
    for place in (lake, s3_store):
        export(
            Lake.at(place),
            Schema.MBO,
            "BTCUSDT",
            None,
            WHOLE,
            tmp_path / f"{'s3' if place == s3_store else 'here'}.dbn",
        )
    assert (tmp_path / "s3.dbn").read_bytes() == (tmp_path / "here.dbn").read_bytes()


async def test_the_nodes_of_a_cluster_go_side_by_side(lake: Path, canonical: Truth, tmp_path: Path) -> None:
    """Each provider's keys are on the node that holds them, its messages too: a consumer at any node hears all."""
    with RedisCluster(tmp_path) as cluster:
        url = cluster.url
        gate = Gate(300_000_000)
        playing = asyncio.create_task(play(lake, url, speed=1.0, clock=gate, flush_seconds=1e-9))
        await until(gate.reached.is_set)
        async with listening(url, settle_seconds=0.2) as (heard, _):
            channels = books(canonical.channels(MIDNIGHT, MIDNIGHT + 200_000_000))
            await until(lambda: all(channel in heard.snapshots for channel in channels))
            gate.let_through()
            await playing
            await until(lambda: heard.ended == PROVIDERS)
    assert not holes(heard)
    for channel in books(canonical.channels()):
        assert book(heard.snapshots.get(channel, b""), heard.of(channel)) == book(canonical.of(channel)), channel


async def test_another_replay_begins_anew_for_who_still_listens(lake: Path, canonical: Truth, redis_url: str) -> None:
    """Time goes back: the consumer is told so on each channel, and gets everything once more."""
    async with listening(redis_url) as (heard, _):
        await play(lake, redis_url)
        await until(lambda: heard.ended == PROVIDERS)
        first = {channel: heard.of(channel) for channel in heard.messages}
        heard.messages.clear()
        heard.ended.clear()
        await play(lake, redis_url)
        await until(lambda: heard.ended == PROVIDERS)
    assert {channel: heard.of(channel) for channel in heard.messages} == first
    assert holes(heard) == {Reason.RESTARTED}
    again = (hole.pattern for hole in heard.holes if hole.reason is Reason.RESTARTED)
    restarted = {name.removeprefix("MARKET_DATA.REPLAY.") for name in again}
    assert restarted == canonical.channels() | {f"STATUS.{provider}._replay" for provider in PROVIDERS}


async def test_channels_go_side_by_side_by_time_of_receipt(lake: Path, canonical: Truth) -> None:
    """Across providers nothing is published before what was there a moment before it."""
    choice, streams = chosen(lake)
    length = moment_ns(1.0)
    last = 0
    found = 0
    for before, moments in sets(choice, streams, WHOLE, length):
        assert not before
        for moment in moments:
            assert moment.due // length >= last // length
            assert moment.due >= last - length
            last = moment.due
            found += sum(
                len(data) // LAYOUTS[choice.channels.names[channel].schema].stride for channel, data in moment.messages
            )
    assert found == len(canonical.record)


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0])
async def test_the_speed_is_kept_without_drift(lake: Path, redis_url: str, speed: float) -> None:
    """Each moment waits for its own time, reckoned from the first one's: the clock stands in for the machine's."""
    clock = Gate(1 << 62)
    await play(lake, redis_url, Span(MIDNIGHT, MIDNIGHT + DAY_NS), speed=speed, clock=clock, flush_seconds=3600)
    choice, streams = chosen(lake, Span(MIDNIGHT, MIDNIGHT + DAY_NS))
    dues = [
        m.due for _, ready in sets(choice, streams, Span(MIDNIGHT, MIDNIGHT + DAY_NS), moment_ns(speed)) for m in ready
    ]
    schedule = [round((due - dues[0]) / speed) for due in dues]
    assert clock.waits == [at for before, at in zip([0, *schedule], schedule, strict=False) if at > before]
    assert clock.now() == schedule[-1]


def test_a_schedule_reckons_from_its_beginning() -> None:
    """However late one moment was, the next one's time is the same."""
    schedule = Schedule(4.0)
    schedule.begin(1000, 50)
    assert [schedule.at(when) for when in (1000, 1004, 1400)] == [50, 51, 150]
    assert schedule.reached(150) == 1400


async def test_two_at_once_are_refused(lake: Path, redis_url: str) -> None:
    """They would publish on the same channels; another provider's is free."""
    gate = Gate(100_000_000)
    stop = asyncio.Event()
    playing = asyncio.create_task(play(lake, redis_url, patterns=["*.KRAKEN.*"], speed=1.0, clock=gate, stop=stop))
    await until(gate.reached.is_set)
    with pytest.raises(ReplayRunningError, match="history of KRAKEN is being replayed already, by process"):
        await play(lake, redis_url, patterns=["*.KRAKEN.*"])
    await play(lake, redis_url, patterns=["*.OKX.*"])
    stop.set()
    assert (await playing).stopped
    await play(lake, redis_url, patterns=["*.KRAKEN.*"])


async def test_what_a_replay_leaves_behind_lapses(lake: Path, redis_url: str) -> None:
    """Its late-join keys have a life's end, its lease is gone, and nothing of an earlier one stays in the next."""
    async with Redis.from_url(redis_url) as redis:
        await play(lake, redis_url, patterns=["*.KRAKEN.*"])
        keys = [key async for key in redis.scan_iter("tapeline:*")]
        assert len(keys) > 5
        assert redis_keys.replay("KRAKEN").encode() not in keys
        assert all([0 < await redis.ttl(key) <= 60 for key in keys])
        await play(lake, redis_url, patterns=["TRADES.KRAKEN.trade.BTC/USD"])
        channels = await redis.smembers(redis_keys.channels("KRAKEN", REPLAY))
    assert {ChannelName.parse(one.decode()).schema for one in channels if isinstance(one, bytes)} == {
        Schema.TRADES, Schema.DEFINITION, Schema.STATUS,
    }  # fmt: skip


async def test_nothing_to_replay_says_what_there_is(lake: Path) -> None:
    """No such channel, no such day, nothing at that time: each in a line that helps."""
    with pytest.raises(NothingThereError, match=r"no channel matches TRADES.NASDAQ.\*; there are MARKET_DATA.REPLAY"):
        chosen(lake, patterns=["TRADES.NASDAQ.*"])
    with pytest.raises(NothingThereError, match="is published; there are 2, from 2026-01-01 to 2026-01-02"):
        chosen(lake, Span(MIDNIGHT - DAY_NS, MIDNIGHT))
    with pytest.raises(NothingThereError, match="those channels have nothing from 2026-01-01T12:00:00Z"):
        chosen(lake, Span(MIDNIGHT + DAY_NS // 2, MIDNIGHT + DAY_NS))


async def test_instances_are_merged_of_live_feeds_only(redis_url: str) -> None:
    """A replay has one instance; asking for two of it is wrong usage."""
    with pytest.raises(UsageError, match="pattern is"):
        Consumer(redis_url, list(ALL), mode="merge")
