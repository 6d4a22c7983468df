"""Books: joining, gaps, snapshots, checksums, and what is published of each."""

from __future__ import annotations

from typing import Any

from databento_dbn import MBOMsg

from tests.kernel.stream import Stream, event, kinds, records

SPOT = "btcusdt@depth@100ms"
DERIBIT = "book.BTC-PERPETUAL.raw"


def spot(first: int, last: int, bids: list[list[str]], asks: list[list[str]] | None = None) -> dict[str, Any]:
    """A Binance spot depth update."""
    data = {
        "e": "depthUpdate",
        "E": 1_700_000_000_123,
        "s": "BTCUSDT",
        "U": first,
        "u": last,
        "b": bids,
        "a": asks or [],
    }
    return {"stream": SPOT, "data": data}


def rest(last: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
    """A Binance spot REST depth."""
    return {"lastUpdateId": last, "bids": bids, "asks": asks}


def deribit(kind: str, change: int, previous: int | None, bids: list[list[object]]) -> dict[str, Any]:
    """A Deribit book message."""
    data: dict[str, Any] = {"type": kind, "timestamp": 1_700_000_000_000, "instrument_name": "BTC-PERPETUAL"}
    data |= {"change_id": change, "bids": bids, "asks": []}
    if previous is not None:
        data["prev_change_id"] = previous
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": DERIBIT, "data": data}}


def orders(found: list[object]) -> list[tuple[str, str, int, int, int]]:
    """Action, side, price, size and flags of the MBO records."""
    return [(str(r.action), str(r.side), r.price, r.size, int(r.flags)) for r in found if isinstance(r, MBOMsg)]


def joined() -> Stream:
    """A Binance spot book that is live at id 10."""
    stream = Stream("binance_spot")
    stream.say(spot(5, 8, [["9.00", "9.00000"]]))
    stream.answer(SPOT, rest(10, [["100.00", "1.00000"]], [["101.00", "2.50000"]]))
    return stream


def test_a_requested_snapshot_is_published_in_front_of_what_was_kept() -> None:
    """Deltas that came first follow the snapshot, each as the message it was, and ts_recv never falls."""
    stream = Stream("binance_spot")
    first = stream.say(spot(5, 8, [["9.00", "9.00000"]]))
    assert kinds(first) == ["resync"]
    assert first.records == 0
    stream.say(spot(9, 12, [["100.00", "3.00000"]], [["101.00", "0.00000"]]))
    stream.say(spot(13, 13, [["99.50", "1.00000"]]))
    answered = stream.answer(SPOT, rest(10, [["100.00", "1.00000"]], [["101.00", "2.50000"]]))
    # Whoever asked knows that it need not ask again.
    assert event(answered, "recovered").channel == SPOT
    done = records(answered)
    lot = 10  # 1.00000 has no decimal place of its own and 2.5 has one
    assert orders(done) == [
        ("R", "N", 2**63 - 1, 0, 0x30),
        ("A", "B", 100_000_000_000, 1 * lot, 0x30),
        ("A", "A", 101_000_000_000, 25, 0xB0),
        ("M", "B", 100_000_000_000, 3 * lot, 0x10),
        ("C", "A", 101_000_000_000, 0, 0x90),
        ("A", "B", 99_500_000_000, 1 * lot, 0x90),
    ]
    found = [(r.sequence, r.ts_recv) for r in done if isinstance(r, MBOMsg)]
    assert [sequence for sequence, _ in found] == [10, 10, 10, 12, 12, 13]
    assert [ts_recv for _, ts_recv in found] == sorted(ts_recv for _, ts_recv in found)
    assert stream.normalizer.counters()["links"] == {"ok": 2, "broken": 0}


def test_a_snapshot_older_than_what_was_kept_is_asked_for_again() -> None:
    """A snapshot that does not reach the first kept delta would leave a hole."""
    stream = Stream("binance_spot")
    stream.say(spot(20, 22, [["9.00", "9.00000"]]))
    late = stream.answer(SPOT, rest(10, [["100.00", "1.00000"]], []))
    assert event(late, "resync").reason == "snapshot too old"
    assert late.records == 0
    assert stream.answer(SPOT, rest(21, [["100.00", "1.00000"]], [])).records > 0


def test_an_update_that_moves_nothing_still_ends_its_message() -> None:
    """Deleting a level that is not there is normal; the message gives one record of action N."""
    stream = joined()
    assert orders(records(stream.say(spot(11, 11, [["55.00", "0.00000"]])))) == [("N", "N", 2**63 - 1, 0, 0x90)]


def test_a_missing_update_is_found_at_the_next_and_flagged_until_a_snapshot() -> None:
    """The gap has exact bounds, updates go on flagged, and the snapshot puts the book right as of the newest of them."""
    stream = joined()
    assert records(stream.say(spot(11, 11, [["100.00", "5.00000"]])))
    gap = stream.say(spot(14, 15, [["100.00", "6.00000"]]))
    found = event(gap, "gap")
    assert (found.from_id, found.to_id, found.channel, found.symbol) == (12, 13, SPOT, "BTCUSDT")
    assert [action for action, *_ in orders(records(gap))] == ["M"]
    assert all(flags & 0x04 for *_, flags in orders(records(gap)))
    assert event(gap, "resync").channel == SPOT
    assert all(flags & 0x04 for *_, flags in orders(records(stream.say(spot(16, 16, [["98.00", "1.00000"]])))))
    healed = stream.answer(SPOT, rest(15, [["100.00", "6.00000"]], [["101.00", "2.50000"]]))
    assert "recovered" in kinds(healed)
    assert [(action, price) for action, _, price, *_ in orders(records(healed))][1:] == [
        ("A", 100_000_000_000),
        ("A", 98_000_000_000),
        ("A", 101_000_000_000),
    ]
    assert not any(flags & 0x04 for *_, flags in orders(records(healed)))
    assert orders(records(stream.say(spot(17, 17, [["98.00", "0.00000"]]))))[0][0] == "C"
    totals = stream.normalizer.counters()
    assert totals["links"]["broken"] == 1
    assert totals["books"]["resyncs"] == 1


def test_repeated_and_late_updates_change_nothing() -> None:
    """What is no newer than the book is counted as stale."""
    stream = joined()
    stream.say(spot(11, 12, [["100.00", "5.00000"]]))
    assert stream.say(spot(11, 12, [["100.00", "5.00000"]])).records == 0
    assert stream.say(spot(9, 10, [["100.00", "7.00000"]])).records == 0
    assert stream.normalizer.counters()["books"]["stale"] == 3  # one of them before the snapshot


def test_one_instruments_gap_leaves_the_others_alone() -> None:
    """Another symbol's updates stay unflagged."""
    stream = joined()
    other = "ethusdt@depth@100ms"

    def eth(first: int, last: int) -> dict[str, Any]:
        return {"stream": other, "data": spot(first, last, [["7.00", "1.0"]])["data"] | {"s": "ETHUSDT"}}

    stream.say(eth(1, 1))
    stream.answer(other, rest(1, [["7.00", "1.0"]], []))
    stream.say(spot(99, 99, [["100.00", "5.00000"]]))
    assert not any(flags & 0x04 for *_, flags in orders(records(stream.say(eth(2, 2)))))


def test_a_back_link_that_does_not_hold_is_a_gap_and_the_next_snapshot_ends_it() -> None:
    """Deribit: prev_change_id must be the last change_id; after a re-subscription the stream brings the snapshot."""
    stream = Stream("deribit")
    stream.say(deribit("snapshot", 100, None, [["new", 50000.0, 10.0]]))
    stream.say(deribit("change", 101, 100, [["change", 50000.0, 20.0]]))
    gap = stream.say(deribit("change", 105, 103, [["new", 49999.5, 10.0]]))
    found = event(gap, "gap")
    assert (found.from_id, found.to_id) == (102, 103)
    healed = stream.say(deribit("snapshot", 106, None, [["new", 50000.5, 30.0]]))
    assert "recovered" in kinds(healed)
    assert [price for action, _, price, *_ in orders(records(healed)) if action == "A"] == [50_000_500_000_000]


def test_a_wrong_checksum_makes_the_book_doubtful() -> None:
    """Kraken: an update whose CRC32 does not hold is published flagged, and a new snapshot is asked for."""
    stream = Stream("kraken")

    def book(kind: str, bids: list[dict[str, float]], checksum: int) -> dict[str, Any]:
        data = {"symbol": "BTC/USD", "bids": bids, "asks": [], "checksum": checksum}
        return {"channel": "book", "type": kind, "data": [data | {"timestamp": "2026-01-01T00:00:00.000001Z"}]}

    # CRC32 of "1005" and of "10051": price and quantity without dot and leading zeros.
    import zlib

    stream.say(book("snapshot", [{"price": 10.0, "qty": 0.5}], zlib.crc32(b"1005")))
    wrong = stream.say(book("update", [{"price": 10.0, "qty": 0.7}], 1))
    assert {"checksum", "resync"} <= set(kinds(wrong))
    assert orders(records(wrong))[0][4] & 0x04
    assert stream.normalizer.counters()["checksums"] == {"ok": 1, "bad": 1}


def test_a_connection_that_goes_down_makes_its_books_doubtful_until_a_snapshot() -> None:
    """Coinbase level2 has neither sequence nor checksum: only the session knows that something may be missing."""
    stream = Stream("coinbase")
    snapshot = {"type": "snapshot", "product_id": "BTC-USD", "bids": [["10.00", "1.5"]], "asks": []}
    update = {"type": "l2update", "product_id": "BTC-USD", "changes": [["buy", "10.00", "2"]]}
    stream.say(snapshot)
    down = stream.answer("_session", {"event": "down", "connection": 0, "reason": "closed 1006"}, "STATUS")
    assert {"gap", "resync"} <= set(kinds(down))
    assert orders(records(stream.say(update)))[0][4] & 0x04
    assert "recovered" in kinds(stream.say(snapshot))
    assert not orders(records(stream.say(update)))[0][4] & 0x04


def test_rejected_payloads_cost_nobody_else_anything() -> None:
    """Truncated, corrupt and unknown payloads are events with a reason and a sample."""
    stream = joined()
    good = spot(11, 11, [["100.00", "5.00000"]])
    for payload, reason in [
        (b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":17', "truncated"),
        (b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate",,}}', "syntax"),
        (b'{"stream":"btcusdt@depth@100ms","data":{"e":"somethingNew"}}', "unknown_message"),
        (
            b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"BTCUSDT","U":11,"u":11,"b":[["x","1"]]}}',
            "bad_number",
        ),
    ]:
        rejected = event(stream.say(payload), "reject")
        assert (rejected.reason, rejected.sample[:10]) == (reason, b'{"stream":')
    assert [action for action, *_ in orders(records(stream.say(good)))] == ["M"]
    assert sum(stream.normalizer.counters()["rejected"].values()) == 4
