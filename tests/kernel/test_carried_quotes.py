"""Quotes that leave out what has not changed."""

from __future__ import annotations

from typing import Any

from databento_dbn import MBP1Msg

from tapeline.spec.meaning import Message, Quote
from tapeline.spec.routing import Match
from tests.kernel.stream import Made, kinds, meaning, records

UNDEFINED = 2**63 - 1


def tickers() -> Made:
    """A ticker whose deltas leave out what has not changed."""
    quote = Quote("s", "b", "B", "a", "A", time=None, carry=(Match("t", ("delta",)),))
    return Made(made=meaning((Message("ticker", emits=(quote,)),)))


def top(stream: Made, **message: Any) -> tuple[int, int, int, int]:
    """Prices and sizes of the quote that a message becomes."""
    [found] = [r for r in records(stream.on("tickers", {"s": "A", **message})) if isinstance(r, MBP1Msg)]
    level = found.levels[0]
    return level.bid_px, level.bid_sz, level.ask_px, level.ask_sz


def test_what_is_absent_is_unchanged_and_what_is_null_empty_or_zero_is_gone() -> None:
    """Each value on its own; a side that went away stays away until a price comes."""
    stream = tickers()
    full = {"b": "10", "B": "1", "a": "11", "A": "2"}
    assert top(stream, t="snapshot", **full) == (10_000_000_000, 1000, 11_000_000_000, 2000)
    assert top(stream, t="delta", B="3") == (10_000_000_000, 3000, 11_000_000_000, 2000)
    assert top(stream, t="delta", a="12") == (10_000_000_000, 3000, 12_000_000_000, 2000)
    assert top(stream, t="delta") == (10_000_000_000, 3000, 12_000_000_000, 2000)
    for gone in (None, "", "0"):
        assert top(stream, t="delta", b=gone) == (UNDEFINED, 0, 12_000_000_000, 2000)
    assert top(stream, t="delta", A="1") == (UNDEFINED, 0, 12_000_000_000, 1000)
    assert top(stream, t="delta", b="9.5") == (9_500_000_000, 3000, 12_000_000_000, 1000)


def test_outside_of_a_delta_what_is_absent_is_gone() -> None:
    """Only where the conditions hold is anything carried; what such a message says is carried on."""
    stream = tickers()
    top(stream, t="snapshot", b="10", B="1", a="11", A="2")
    assert top(stream, t="snapshot", b="10", B="1") == (10_000_000_000, 1000, UNDEFINED, 0)
    assert top(stream, t="delta", b="10.5") == (10_500_000_000, 1000, UNDEFINED, 0)


def test_instruments_do_not_share_and_a_delta_ahead_of_all_is_excluded() -> None:
    """A delta of an instrument of which nothing is known cannot be told; one that has all four values can."""
    stream = tickers()
    top(stream, t="snapshot", b="10", B="1", a="11", A="2")
    assert stream.on("tickers", {"s": "B", "t": "delta", "b": "5"}).records == 0
    assert stream.normalizer.counters()["excluded"] == {"quote with nothing to carry over": 1}
    assert top(stream, s="B", t="delta", b="5", B="1", a="6", A="1") == (5_000_000_000, 1000, 6_000_000_000, 1000)


def test_what_is_carried_outlives_a_restart_and_not_its_connection() -> None:
    """The checkpoint holds it; after the connection went down a delta has nothing to change."""
    stream = tickers()
    top(stream, t="snapshot", b="10.123456789012", B="1", a="11", A="2")
    stream.normalizer = stream.restored()
    assert top(stream, t="delta", B="3") == (10_123_456_789, 3000, 11_000_000_000, 2000)
    down = stream.answer("_session", {"event": "down", "connection": 0, "reason": "closed"}, "STATUS")
    assert kinds(down) == ["gap", "resync"]
    assert stream.on("tickers", {"s": "A", "t": "delta", "B": "4"}).records == 0
