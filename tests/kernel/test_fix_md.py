"""The hook `fix_md` against simplefix, which splits fields its own way, and on real messages of five venues."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import simplefix
from tapeline_kernel import Decoder, Normalizer, Router

from tapeline.captures import read_capture
from tapeline.schemas import Schema
from tapeline.spec.decoding import Hook
from tapeline.spec.encode import encode
from tapeline.spec.meaning import (
    Book,
    BookLevels,
    LevelList,
    Levels,
    LinkRule,
    Mapping,
    Meaning,
    Message,
    Side,
    SnapshotFrom,
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing

Json = dict[str, object]
SENT = Time("sent", TimeUnit.ISO)
GROUPS = (b"268", b"146")
AFTER = (b"893", b"89", b"93")


def decoder(**parameters: str) -> Decoder:
    """A decoder with the hook."""
    return Decoder(encode(Hook("fix_md", tuple(parameters.items()))))


def split(frame: bytes) -> list[tuple[bytes, bytes]]:
    """Fields by simplefix."""
    parser = simplefix.FixParser()
    parser.append_buffer(frame)
    message = parser.get_message()
    assert message is not None
    return list(message.pairs)


def expected_head(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Fields of the message itself, the first of each, as simplefix has them."""
    found: dict[str, str] = {}
    inside = False
    for tag, value in pairs:
        inside = (inside or tag in GROUPS) and tag not in AFTER
        if not inside and tag not in (b"9", b"10"):
            found.setdefault(tag.decode(), value.decode("utf-8", "replace"))
    return found


def agrees(frame: bytes, hook: Decoder) -> None:
    """The message's own fields and, in their order, those of every entry are simplefix's."""
    told: Json = json.loads(hook.decode(frame))
    pairs = split(frame)
    assert {key: value for key, value in told.items() if key.isdigit()} == expected_head(pairs)
    listed = told.get("trades"), told.get("others"), told.get("instruments")
    for entries in listed:
        for entry in entries if isinstance(entries, list) else ():
            given = {key: value for key, value in entry.items() if key.isdigit()}
            assert set(given.items()) <= {(tag.decode(), value.decode("utf-8", "replace")) for tag, value in pairs}


def lines(recordings: Path) -> list[bytes]:
    """The recorded messages of five venues."""
    path = recordings / "fix" / "market_data_lines.jsonl.zst"
    return [frame.data.replace(b"|", b"\x01") for frame in read_capture(path)]


def test_every_recorded_session_message_splits_as_simplefix_splits_it(recordings: Path) -> None:
    """1,243 messages of an order-entry session."""
    hook = decoder()
    frames = [frame.data for frame in read_capture(recordings / "fix" / "session_first_half.jsonl.zst")]
    assert len(frames) == 1243
    for frame in frames:
        agrees(frame, hook)


def test_every_recorded_market_data_message_splits_as_simplefix_splits_it(recordings: Path) -> None:
    """Seven messages of five venues."""
    for frame in lines(recordings):
        agrees(frame, decoder())


def made(chance: random.Random) -> bytes:
    """A message of random fields and entries, whole and proved."""
    message = simplefix.FixMessage()
    for tag, value in ((8, "FIX.4.4"), (35, chance.choice("WXyY3")), (34, chance.randrange(1, 10**9)), (49, "V")):
        message.append_pair(tag, value)

    def text() -> bytes:
        alphabet = bytes(byte for byte in range(1, 256) if byte != 1)
        return bytes(chance.choice(alphabet) for _ in range(chance.randrange(1, 12)))

    for _ in range(chance.randrange(6)):
        message.append_pair(chance.choice((58, 262, 148, 5001, 55, 25016)), text())
    if chance.random() < 0.3:
        data = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 20)))
        message.append_pair(95, len(data))
        message.append_pair(96, data)
    count = chance.randrange(4)
    message.append_pair(268, count)
    for _ in range(count):
        message.append_pair(279, chance.choice("012"))
        message.append_pair(269, chance.choice("012479BC"))
        message.append_pair(270, f"{chance.randrange(10**6)}.{chance.randrange(100)}")
        message.append_pair(271, chance.randrange(1, 10**9))
        if chance.random() < 0.5:
            message.append_pair(chance.choice((55, 58, 1003, 277)), text())
    return bytes(message.encode())


def test_random_messages_split_as_simplefix_splits_them() -> None:
    """Texts of any bytes, data fields that hold separators, groups of any size."""
    chance = random.Random(44)
    hook = decoder()
    for _ in range(4000):
        agrees(made(chance), hook)


def test_a_changed_byte_is_never_taken() -> None:
    """Any one byte of a message, changed to anything else: BodyLength or CheckSum says so."""
    chance = random.Random(45)
    hook = decoder()
    for _ in range(1500):
        frame = bytearray(made(chance))
        place = chance.randrange(len(frame))
        frame[place] = (frame[place] + chance.randrange(1, 256)) % 256
        with pytest.raises(ValueError, match=r"^(fix_|syntax)"):
            json.loads(hook.decode(bytes(frame)))


def test_entries_by_position_are_refused_at_start() -> None:
    """A decoder has no memory: 290 would need one."""
    with pytest.raises(ValueError, match="position"):
        decoder(key="position")


def _levels(snapshot: bool, **more: object) -> BookLevels:
    return BookLevels(
        symbol=".symbol",
        bids=LevelList(".bids"),
        asks=LevelList(".asks"),
        snapshot=snapshot,
        book="book",
        time=SENT,
        **more,  # type: ignore[arg-type]
    )


def meaning(messages: tuple[Message, ...], key: str, per_order: bool = False) -> Meaning:
    """A venue of the test."""
    book = Book("book", SnapshotFrom.STREAM, LinkRule.NONE, per_order=per_order)
    return Meaning(
        number=999,
        default_lot="0.01",
        exchange="TEST",
        mappings=(Mapping(messages, (book,)),),
        decoder=Hook("fix_md", (("key", key),)),
    )


W, X = (Match("35", ("W",)),), (Match("35", ("X",)),)
REFRESH = Message("book", channel="*", when=W, each="books", emits=(_levels(True),))
CHANGES = Message(
    "changes", channel="*", when=(*X, Match("trades.0", absent=True)), each="books", emits=(_levels(False),)
)
DEALS = Message(
    "trades",
    channel="*",
    when=X,
    each="trades",
    emits=(Trade(".symbol", ".270", ".271", Side("="), Time(".time", TimeUnit.ISO), sent=SENT),),
)
ORDERS = BookLevels(
    ".symbol", LevelList(".orders", Levels.SIGNED_ORDER), None, snapshot=True, book="book", time=SENT, schema=Schema.MBO
)
BY_PRICE = meaning((REFRESH, CHANGES, DEALS), "price")
BY_ID = meaning((Message("orders", channel="*", when=X, each="books", emits=(ORDERS,)),), "id", per_order=True)


def routed(spec: Meaning, frames: list[bytes]) -> Iterator[bytes]:
    """Frames as batches."""
    route = Route("md", when=(Match("35", ("W", "X")),))
    routing = Routing((route,), (ChannelSchema("*", Schema.MBO),), decoder=spec.decoder)
    router = Router(encode(routing), "TEST", "PRIMARY", 1)
    left, _ = router.push(0, range(1, 2 * len(frames), 2), frames)
    assert not left
    taken = router.take()
    assert taken is not None
    yield taken[2]


def test_every_recorded_market_data_message_normalises(recordings: Path) -> None:
    """Bitfinex W and X, LMAX W by SecurityID, XCT W, Binance X by price; Currenex X by MDEntryID."""
    frames = lines(recordings)
    currenex = [frame for frame in frames if b"\x0149=CNX\x01" in frame]
    others = [frame for frame in frames if frame not in currenex]
    assert (len(currenex), len(others)) == (1, 6)
    for spec, own in ((BY_PRICE, others), (BY_ID, currenex)):
        kernel = Normalizer(encode(spec), "TEST", "PRIMARY", "dbn")
        for batch in routed(spec, own):
            kernel.normalize(batch)
        counters = kernel.counters()
        assert counters["rejected"] == {}
        assert counters["payloads"]["total"] == len(own)
        assert counters["records"].get("MBO", 0) >= 2
