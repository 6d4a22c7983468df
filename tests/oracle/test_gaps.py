"""A message is lost: the gap is found at exactly the next one, flagged, resynchronised by the venue's rule, and the book is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from databento_dbn import DBNDecoder, MBOMsg, StatusMsg
from tapeline_kernel import Event, Normalizer

from tapeline.offline.feed import Feed
from tapeline.offline.final_book import FinalBook, final_book
from tapeline.spec.encode import encode
from tapeline.venues import load
from tests.oracle.agreement import expected, oracle
from tests.oracle.binance import Binance
from tests.oracle.capture import Line, exact, lines, write
from tests.oracle.coinbase import Coinbase
from tests.oracle.deribit import Deribit
from tests.oracle.kraken import Kraken

F_MAYBE_BAD, F_SNAPSHOT = 0x04, 0x20


@dataclass
class Run:
    """What the kernel made of a capture."""

    records: list[Any]
    events: list[Event]
    kernel: Normalizer

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def book(self, symbol: str) -> FinalBook:
        return final_book(self.records, symbol)


def run(venue: str, path: Path) -> Run:
    loaded = load(venue)
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn")
    decoder = DBNDecoder(has_metadata=False, input_version=3)
    made = Run([], [], kernel)
    for batch in Feed(loaded, "PRIMARY").capture(path):
        output = kernel.normalize(batch)
        decoder.write(output.data)
        made.records += decoder.decode()
        made.events += output.events
    return made


@dataclass
class Case:
    """One venue's book under a loss."""

    venue: str
    recording: str
    symbol: str
    is_delta: Callable[[Line], bool]
    is_routed: Callable[[Line], bool]
    """Whether a line is a payload of the raw stream (not control)."""
    snapshot: Callable[[Any, Line], Line]
    """A fresh book as the venue would send it, from an oracle that has seen all up to a line."""
    payloads: int = 6000


def _binance_snapshot(told: Binance, last: Line) -> Line:
    (book,) = told.books.values()
    body = {
        "lastUpdateId": exact(last.text)["data"]["u"],
        "bids": [[str(price), str(size)] for price, size in book.book.best("B")],
        "asks": [[str(price), str(size)] for price, size in book.book.best("A")],
    }
    place = "fapi.binance.com/fapi/v1" if told.futures else "api.binance.com/api/v3"
    place = "dapi.binance.com/dapi/v1" if told.coin else place
    url = f"https://{place}/depth?symbol={book.symbol}&limit=1000"
    return Line(last.ts, "http", last.connection, json.dumps(body), url)


def _kraken_snapshot(told: Kraken, last: Line) -> Line:
    (book,) = told.books.values()
    sides = {
        name: [
            {"price": book.written[side, price][0], "qty": book.written[side, price][1]}
            for price, _ in book.book.best(side)
        ]
        for side, name in (("B", "bids"), ("A", "asks"))
    }
    checksum = exact(last.text)["data"][0]["checksum"]
    entry = {"symbol": "BTC/USD", **sides, "checksum": checksum, "timestamp": exact(last.text)["data"][0]["timestamp"]}
    text = json.dumps({"channel": "book", "type": "snapshot", "data": [entry]}, default=_literal, ensure_ascii=False)
    return Line(last.ts, "recv", last.connection, text.replace('"«', "").replace('»"', ""), "")


def _literal(number: object) -> str:
    """A number with its digits as they were; the marks are taken away with the quotes."""
    assert isinstance(number, Decimal)
    return f"«{number:f}»"


def _coinbase_snapshot(told: Coinbase, last: Line) -> Line:
    (book,) = told.full.values()
    names = {"B": "bids", "A": "asks"}
    sides: dict[str, list[list[str]]] = {"bids": [], "asks": []}
    for number, (side, price, size) in book.book.orders.items():
        # Any UUID whose halves xor to the order's number.
        text = f"{number:032x}"
        identifier = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        sides[names[side]].append([str(price), str(size), identifier])
    body = {"sequence": exact(last.text)["sequence"], **sides}
    url = "https://api.exchange.coinbase.com/products/BTC-USD/book?level=3"
    return Line(last.ts, "http", last.connection, json.dumps(body), url)


def _deribit_snapshot(told: Deribit, last: Line) -> Line:
    data = exact(last.text)["params"]["data"]
    book = told.books[exact(last.text)["params"]["channel"]]
    sides = {
        name: [["new", price, size] for price, size in book.book.best(side)]
        for side, name in (("B", "bids"), ("A", "asks"))
    }
    full = {key: value for key, value in data.items() if key != "prev_change_id"} | {"type": "snapshot", **sides}
    push = {"method": "subscription", "params": {"channel": exact(last.text)["params"]["channel"], "data": full}}
    text = json.dumps(push, default=_literal, ensure_ascii=False)
    return Line(last.ts, "recv", last.connection, text.replace('"«', "").replace('»"', ""), "")


def _depth(line: Line) -> bool:
    return line.kind == "recv" and "@depth" in line.text


DERIBIT_BOOK = "book.BTC-31DEC21-300000-P.raw"

CASES = {
    "binance_spot": Case(
        "binance_spot",
        "binance_spot/btcusdt_20240808",
        "BTCUSDT",
        _depth,
        lambda line: line.kind in ("recv", "http"),
        _binance_snapshot,
    ),
    "binance_usdm": Case(
        "binance_usdm",
        "binance_usdm/btcusdt_20240808",
        "BTCUSDT",
        _depth,
        lambda line: line.kind in ("recv", "http"),
        _binance_snapshot,
    ),
    "binance_coinm": Case(
        "binance_coinm",
        "binance_coinm/btcusd_perp_20240808",
        "BTCUSD_PERP",
        _depth,
        lambda line: line.kind in ("recv", "http"),
        _binance_snapshot,
    ),
    "coinbase": Case(
        "coinbase",
        "coinbase/exchange_l3_0_20160312",
        "BTC-USD",
        lambda line: '"type":"open"' in line.text,
        lambda line: line.kind in ("recv", "http"),
        _coinbase_snapshot,
    ),
}
LOSSES = (60, 100, 140)


def _lost(case: Case, recordings: Path, place: int) -> tuple[list[Line], int, int]:
    """A recording's lines, and where the delta to lose and the one after it stand."""
    said = list(lines(recordings / f"{case.recording}.jsonl.zst", case.payloads))
    deltas = [number for number, line in enumerate(said) if case.is_delta(line)]
    lost = deltas[place]
    later = [number for number in range(lost + 1, len(said)) if _counts(case, said[number])]
    return said, lost, later[0]


def _counts(case: Case, line: Line) -> bool:
    """Whether a line carries the venue's next number."""
    return case.is_delta(line) or (case.venue == "coinbase" and line.kind == "recv")


@pytest.mark.parametrize("place", LOSSES)
@pytest.mark.parametrize("name", CASES)
def test_a_lost_delta_is_found_at_the_next(recordings: Path, tmp_path: Path, name: str, place: int) -> None:
    """The gap stands at exactly the message after the lost one, with the ids missing; only what follows is flagged."""
    case = CASES[name]
    said, lost, after = _lost(case, recordings, place)
    path = write(tmp_path / "lost.jsonl.zst", [*said[:lost], *said[lost + 1 :]])
    made = run(case.venue, path)
    (gap,) = made.of("gap")
    assert gap.sequence == sum(case.is_routed(line) for line in said[: after + 1]) - 1
    assert (gap.from_id, gap.to_id) == _missing(case, said, lost, after)
    assert [event.reason for event in made.of("resync")][-1] == "link"
    assert made.kernel.counters()["links"]["broken"] == 1
    books = [record for record in made.records if isinstance(record, MBOMsg)]
    flagged = [bool(record.flags & F_MAYBE_BAD) for record in books]
    assert flagged == sorted(flagged)
    first = books[flagged.index(True)]
    assert first.ts_recv == said[after].ts
    statuses = [record for record in made.records if isinstance(record, StatusMsg)]
    assert [(record.ts_recv, record.is_quoting) for record in statuses] == [(said[after].ts, False)]


def _missing(case: Case, said: list[Line], lost: int, after: int) -> tuple[int, int]:
    """The venue's ids between the last before the lost message and the first after it."""
    gone = exact(said[lost].text)
    if case.venue == "coinbase":
        return gone["sequence"], gone["sequence"]
    before = [line for line in said[:lost] if case.is_delta(line)][-1]
    last, following = exact(before.text)["data"]["u"], exact(said[after].text)["data"]
    return last + 1, following["pu"] if "pu" in following else following["U"] - 1


@pytest.mark.parametrize("late", [0, 25])
@pytest.mark.parametrize("place", LOSSES)
@pytest.mark.parametrize("name", CASES)
def test_a_fresh_book_closes_the_gap(recordings: Path, tmp_path: Path, name: str, place: int, late: int) -> None:
    """With a snapshot as of some messages later, on time or `late` messages after that, the book is the whole recording's."""
    case = CASES[name]
    said, lost, after = _lost(case, recordings, place)
    numbered = [number for number in range(after, len(said)) if _counts(case, said[number])]
    known, comes = numbered[10], numbered[10 + late]
    told = oracle(case.venue)
    for line in said:
        told.scan(line)
    for line in said[: known + 1]:
        if line.kind in ("recv", "http"):
            told.feed(line)
    fresh = case.snapshot(told, said[known])
    harmed = [*said[:lost], *said[lost + 1 : comes + 1], fresh, *said[comes + 1 :]]
    made = run(case.venue, write(tmp_path / "healed.jsonl.zst", harmed))
    whole = run(case.venue, write(tmp_path / "whole.jsonl.zst", said))
    told_of = [
        event.kind for event in made.events if event.kind in ("gap", "recovered") and event.reason != "first snapshot"
    ]
    assert told_of == ["gap", "recovered"]
    assert made.kernel.counters()["links"]["broken"] == 1
    assert made.kernel.counters()["rejected"] == {}
    for bids in (True, False):
        assert made.book(case.symbol).side(bids) == whole.book(case.symbol).side(bids)
    books = [record for record in made.records if isinstance(record, MBOMsg)]
    flagged = [bool(record.flags & F_MAYBE_BAD) for record in books]
    assert any(flagged)
    # Flags begin at the gap, end at the fresh book, and do not come again.
    start, stop = flagged.index(True), len(flagged) - flagged[::-1].index(True)
    assert all(flagged[start:stop])
    assert books[stop].flags & F_SNAPSHOT
    assert [r.is_quoting for r in made.records if isinstance(r, StatusMsg)] == [False, True]


@pytest.mark.parametrize("place", [30, 300, 900, 1500])
def test_kraken_finds_a_loss_by_the_checksum(recordings: Path, tmp_path: Path, place: int) -> None:
    """The first checksum that a book without the lost update does not meet is the gap; a new snapshot closes it."""
    said = list(lines(recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"))
    updates = [number for number, line in enumerate(said) if '"type":"update"' in line.text and '"book"' in line.text]
    lost = updates[place]
    harmed = [*said[:lost], *said[lost + 1 :]]
    without = Kraken()
    bad = None
    for number, line in enumerate(harmed):
        if line.kind == "recv":
            without.feed(line)
        if without.books and next(iter(without.books.values())).bad:
            bad = number
            break
    path = write(tmp_path / "lost.jsonl.zst", harmed)
    made = run("kraken", path)
    if bad is None:
        # The lost update touched nothing that a checksum covers, now or later.
        assert made.of("checksum") == []
        return
    found = made.of("checksum")
    assert len(found) == 1
    assert found[0].sequence == sum('"channel":"book","type"' in line.text for line in harmed[: bad + 1])
    told = Kraken()
    known = next(number for number in updates if number > bad + 20)
    for line in said[: known + 1]:
        if line.kind == "recv":
            told.feed(line)
    fresh = _kraken_snapshot(told, said[known])
    healed = run("kraken", write(tmp_path / "healed.jsonl.zst", [*harmed[:known], fresh, *said[known + 1 :]]))
    whole = run("kraken", write(tmp_path / "whole.jsonl.zst", said))
    assert [event.kind for event in healed.events if event.kind in ("checksum", "recovered")] == [
        "checksum",
        "recovered",
    ]
    for bids in (True, False):
        assert healed.book("BTC/USD").side(bids) == whole.book("BTC/USD").side(bids)


def test_deribit_finds_a_loss_by_the_change_before(recordings: Path, tmp_path: Path) -> None:
    """The change that names one never seen is the gap, for its own book alone; a new snapshot closes it."""
    said = list(lines(recordings / "deribit" / "20210405.jsonl.zst"))
    channels: dict[str, list[int]] = {}
    for number, line in enumerate(said):
        if line.kind == "recv" and '"type":"change"' in line.text:
            channels.setdefault(exact(line.text)["params"]["channel"], []).append(number)
    channel, changes = max(channels.items(), key=lambda item: len(item[1]))
    lost, after, known = changes[2], changes[3], changes[6]
    harmed = [*said[:lost], *said[lost + 1 :]]
    made = run("deribit", write(tmp_path / "lost.jsonl.zst", harmed))
    (gap,) = made.of("gap")
    routed = sum('"method":"subscription"' in line.text for line in harmed[:after])
    assert (gap.channel, gap.sequence) == (channel, routed)
    told = Deribit()
    for line in said[: known + 1]:
        if line.kind == "recv":
            told.feed(line)
    fresh = _deribit_snapshot(told, said[known])
    healed = run("deribit", write(tmp_path / "healed.jsonl.zst", [*harmed[:known], fresh, *said[known + 1 :]]))
    whole = run("deribit", write(tmp_path / "whole.jsonl.zst", said))
    assert healed.kernel.counters()["rejected"] == {}
    assert [event.channel for event in healed.of("recovered")] == [channel]
    for symbol in whole.kernel.symbols().values():
        for bids in (True, False):
            assert healed.book(symbol).side(bids) == whole.book(symbol).side(bids)


@pytest.mark.parametrize("name", ["binance_spot/ten_symbols_20210405", "kraken/btcusd_v2_resync_20260801"])
def test_any_bytes_are_counted_and_harm_nothing_else(recordings: Path, tmp_path: Path, name: str) -> None:
    """Lines of garbage between good ones are each rejected once, and every record is as without them."""
    venue = name.partition("/")[0]
    said = list(lines(recordings / f"{name}.jsonl.zst", 600))
    garbage = [
        "",
        "{",
        "null",
        "[]",
        '"x"',
        "\x00\x01",
        '{"stream":5}',
        '{"data":{}}',
        "{}" * 3,
        "[" * 600,
        "9" * 400,
        "ü€",
    ]
    harmed = []
    for number, line in enumerate(said):
        harmed.append(line)
        if number and number % 40 == 0:
            harmed.append(Line(line.ts, "recv", line.connection, garbage[number // 40 % len(garbage)], ""))
    made = run(venue, write(tmp_path / "harmed.jsonl.zst", harmed))
    wanted = expected(venue, write(tmp_path / "clean.jsonl.zst", said))
    assert b"".join(bytes(record) for record in made.records) == b"".join(wanted.records)
    assert sum(made.kernel.counters()["rejected"].values()) == len(harmed) - len(said)
    assert len(made.of("reject")) == len(harmed) - len(said)
