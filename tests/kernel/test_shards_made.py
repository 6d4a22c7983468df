"""Instruments that share payloads: pages, chains, quotes that leave things out, lists, books, whole and damaged."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tapeline_kernel import Normalizer

from tapeline.spec.encode import encode
from tapeline.spec.meaning import (
    Block,
    Book,
    BookLevels,
    Ids,
    InBlock,
    Instrument,
    LevelList,
    LinkRule,
    Message,
    Quote,
    Side,
    SnapshotFrom,
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match
from tests.kernel.stream import meaning
from tests.kernel.test_shards import DOWN, SHARDS, UP, Payload, needed, told, united

SYMBOLS = ("A", "B", "C", "D", "E", "")
SIGNED = Side(".q", sign=True)
AT = Time(".E", TimeUnit.MILLIS)
MEANING = encode(
    meaning(
        (
            Message(
                "head",
                (Block("n", "h", "p", Time("E", TimeUnit.SECONDS)),),
                channel="chain",
                when=(Match("t", ("h",)),),
            ),
            Message(
                "swaps",
                (
                    Trade(
                        ".s", ".p", ".q", SIGNED, AT, ".i", page=True, block=InBlock(".n", ".h", ".x", (Match(".r"),))
                    ),
                ),
                channel="chain",
                each="d",
            ),
            Message(
                "trades",
                (Trade(".s", ".p", ".q", SIGNED, AT, ".i", link=LinkRule.NEXT, exclude=(("block", Match(".r")),)),),
                channel="trade*",
                each="d",
            ),
            Message(
                "pages",
                (Trade(".s", ".p", ".q", SIGNED, AT, ".i", link=LinkRule.RISING, page=True),),
                channel="page",
                each="d",
            ),
            Message("nothing", (), channel="quote", when=(Match("t", ("x",)),), excluded="nothing"),
            Message("quote", (Quote("s", "b", "n", "a", "n", None, carry=(Match("t", ("d",)),)),), channel="quote"),
            Message(
                "book",
                (BookLevels("s", LevelList("l"), None, False, "book", ids=Ids("n")),),
                channel="book*",
                when=(Match("t", ("d",)),),
            ),
            Message("full", (BookLevels("s", LevelList("l"), None, True, "book", ids=Ids("n")),), channel="book*"),
            Message("list", (Instrument(".s", size_step=".q", price_step=".p"),), channel="list", each="d"),
        ),
        Book("book", snapshot=SnapshotFrom.STREAM, link=LinkRule.NEXT),
    )
)
CHANNELS = ("chain", "trade", "trade.A", "page", "quote", "book", "book.B", "list", "_session", "_unknown")
NUMBERS = ("1", "-2", "0.5", "7", "7", "1", "x", "")


def payload(chance: Random) -> tuple[str, int, bytes]:
    """Channel, connection and text, sometimes cut."""
    channel = chance.choice(CHANNELS)
    connection = chance.randrange(2)
    if channel == "_session":
        return channel, 0, chance.choice([DOWN, UP, b'{"event":"%d"}']) % connection
    symbols = chance.sample(SYMBOLS, chance.randint(1, len(SYMBOLS)))
    entries = []
    for _ in range(chance.randint(0, 6)):
        symbol, number = chance.choice(symbols), chance.randint(1, 9)
        entry: dict[str, object] = {"s": symbol, "i": number, "E": chance.randint(1, 3)}
        # No two swaps have one place in a block.
        entry |= {"n": chance.randint(1, 3), "h": chance.choice("xxy"), "x": number * 10 + SYMBOLS.index(symbol)}
        entry |= {name: chance.choice(NUMBERS[: chance.choice([6, 6, 6, 8])]) for name in "pq"}
        if chance.random() < 0.1:
            entry["r"] = "1"
        entries.append(entry)
    body: dict[str, object] = {"d": entries, "t": chance.choice("dddhsx"), "s": chance.choice(symbols), "E": "1"}
    body |= {"n": chance.randint(1, 4), "h": chance.choice("xxy"), "p": chance.choice("xxy")}
    body |= {name: chance.choice(NUMBERS) for name in "ab" if chance.random() < 0.7}
    body["l"] = [[chance.choice("123"), chance.choice(NUMBERS)] for _ in range(chance.randint(0, 2))]
    text = json.dumps(body).encode()
    return channel, connection, text if chance.random() < 0.95 else text[: chance.randrange(len(text))]


def opened(shard: tuple[int, int] = (0, 1)) -> Normalizer:
    return Normalizer(MEANING, "MADE", "MERGED", "dbn", shard)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 120))
def test_instruments_that_share_payloads_are_told_as_by_one(seed: int, size: int) -> None:
    """Whatever is in one payload together, each shard makes of it what is its own, and only that."""
    chance = Random(seed)
    said = [payload(chance) for _ in range(size)]
    sent = [
        Payload(place, channel, "TRADES", 1_000 + place, connection, text)
        for place, (channel, connection, text) in enumerate(said, 1)
    ]
    middle = chance.randint(0, len(sent))
    whole = told(opened(), sent, middle)
    masks = needed(opened(), sent)
    for masked in (False, True):
        shards = [
            told(
                opened((shard, SHARDS)),
                [one for one in sent if not masked or masks[one.channel, one.schema] >> shard & 1],
                middle,
            )
            for shard in range(SHARDS)
        ]
        found = united(shards)
        assert found.records == whole.records
        assert found.rejected == whole.rejected
        assert {about: sorted(items, key=str) for about, items in found.events.items()} == {
            about: sorted(items, key=str) for about, items in whole.events.items()
        }
