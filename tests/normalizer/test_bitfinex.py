"""Bitfinex by hand: keys from acks, nesting that tells a snapshot, signs that tell sides, one counter over all, checksums."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from databento_dbn import InstrumentDefMsg, MBOMsg, MBP1Msg, StatMsg, StatusMsg, TradeMsg

from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.venues import load
from tests.support.told import Told, told

URL = "wss://api-pub.bitfinex.com/ws/2"
MS = 1_780_000_000_000
F_MBP, F_LAST, F_MAYBE_BAD = 16, 128, 4


def run(folder: Path, *said: object) -> Told:
    """What becomes of messages."""
    return told("bitfinex", URL, said, folder)


def subscribed(key: int, channel: str, symbol: str = "tBTCUSD", prec: str = "P0") -> dict[str, object]:
    """An ack."""
    book = {"prec": prec, "freq": "F0", "len": "100"} if channel == "book" else {}
    return {"event": "subscribed", "channel": channel, "chanId": key, "symbol": symbol, **book, "pair": symbol[1:]}


def rows(heard: Told) -> list[tuple[str, str, int, int]]:
    """Action, side, price and size in lots of the book's records."""
    return [(str(r.action), str(r.side), r.price // 10**9, r.size) for r in heard.of(MBOMsg)]


def test_a_book_is_told_by_nesting_sign_and_count(tmp_path: Path) -> None:
    """A list of lists replaces; count zero deletes, and then the amount only tells the side."""
    heard = run(
        tmp_path,
        subscribed(17, "book"),
        [17, [[100, 1, 2], [99, 2, 3], [101, 1, -4]], 1, MS],
        [17, [100, 3, 5.5], 2, MS + 1],
        [17, [101, 0, -1], 3, MS + 2],
        [17, [99, 0, 1], 4, MS + 3],
        [17, "hb", 5, MS + 4],
    )
    assert heard.account.rejected == {}
    assert heard.account.links == {"ok": 5, "broken": 0}
    actions = [row[:3] for row in rows(heard)]
    assert actions[1:] == [
        ("A", "B", 100), ("A", "B", 99), ("A", "A", 101), ("M", "B", 100), ("C", "A", 101), ("C", "B", 99),
    ]  # fmt: skip
    assert heard.of(MBOMsg)[-1].ts_event == (MS + 3) * 1_000_000


def test_an_empty_book_is_a_snapshot_too(tmp_path: Path) -> None:
    """An empty list clears."""
    heard = run(tmp_path, subscribed(17, "book"), [17, [], 1, MS], [17, [100, 1, 2], 2, MS])
    assert [row[0] for row in rows(heard)] == ["R", "A"]


def test_the_checksum_proves_the_book_as_numbers_are_printed(tmp_path: Path) -> None:
    """Bid, ask, bid, …, asks with a minus, small amounts with an exponent; a wrong one puts the book in doubt."""
    good = crc32(b"100:2:101:-4:99:1e-7")
    heard = run(
        tmp_path,
        subscribed(17, "book"),
        [17, [[100, 1, 2], [99, 2, 1e-7], [101, 1, -4]], 1, MS],
        [17, "cs", good - (1 << 32) if good >> 31 else good, 2, MS],
        [17, "cs", 5, 3, MS],
        [17, [100, 1, 3], 4, MS],
    )
    assert heard.account.checksums == {"ok": 1, "bad": 1}
    assert heard.account.resyncs == 1
    assert heard.of(MBOMsg)[-1].flags & F_MAYBE_BAD


def test_a_hole_in_the_counter_puts_every_book_of_the_connection_in_doubt(tmp_path: Path) -> None:
    """Whatever was lost may have been any channel's; the ticker's message is where it shows."""
    heard = run(
        tmp_path,
        subscribed(17, "book"),
        subscribed(18, "book", "tETHUSD"),
        subscribed(19, "ticker"),
        [17, [[100, 1, 2]], 1, MS],
        [18, [[50, 1, 2]], 2, MS],
        [19, [100, 1, 101, 2, 0, 0, 100, 5, 1, 1], 6, MS],
    )
    assert heard.account.links == {"ok": 2, "broken": 1}
    assert heard.account.resyncs == 2
    assert len({r.instrument_id for r in heard.of(StatusMsg)}) == 2


def test_single_orders_have_their_ids_and_leave_at_price_zero(tmp_path: Path) -> None:
    """R0: `[id, price, ±amount]`."""
    heard = run(
        tmp_path,
        subscribed(17, "book", prec="R0"),
        [17, [[11, 100, 2], [12, 101, -3]], 1, MS],
        [17, [13, 100, 1], 2, MS],
        [17, [11, 0, 1], 3, MS],
    )
    assert heard.account.rejected == {}
    told_of = [(str(r.action), str(r.side), r.order_id) for r in heard.of(MBOMsg)]
    assert told_of[1:] == [("A", "B", 11), ("A", "A", 12), ("A", "B", 13), ("C", "B", 11)]
    assert not heard.of(MBOMsg)[-1].flags & F_MBP


def test_a_trade_is_told_once_with_the_takers_side(tmp_path: Path) -> None:
    """`te` counts, `tu` repeats it, what was before the subscription is left out."""
    heard = run(
        tmp_path,
        subscribed(21, "trades"),
        [21, [[1, MS, 0.5, 99]], 1, MS],
        [21, "te", [2, MS, -0.25, 100], 2, MS],
        [21, "tu", [2, MS, -0.25, 100], 3, MS],
    )
    (made,) = heard.of(TradeMsg)
    assert (str(made.side), made.price, made.sequence) == ("A", 100 * 10**9, 2)
    assert heard.account.excluded == {"trades before the subscription": 1, "tells a te again": 1}


@pytest.mark.parametrize("flags", [(), (MS,)])
def test_a_ticker_is_a_top_with_or_without_the_time_of_sending(tmp_path: Path, flags: tuple[int, ...]) -> None:
    """Without the flag it has no time, and ours is taken."""
    heard = run(tmp_path, subscribed(19, "ticker"), [19, [100, 1, 101, 2, 0, 0, 100, 5, 1, 1], 1, *flags])
    (made,) = heard.of(MBP1Msg)
    assert (made.levels[0].bid_px, made.levels[0].ask_px) == (100 * 10**9, 101 * 10**9)
    assert (made.ts_event == MS * 1_000_000) is bool(flags)


def test_a_key_means_what_the_last_ack_said(tmp_path: Path) -> None:
    """A new subscription gets a new key; the old one means nothing any more once another channel has it."""
    heard = run(
        tmp_path,
        subscribed(19, "ticker"),
        [19, [100, 1, 101, 2, 0, 0, 100, 5, 1, 1], 1, MS],
        {"event": "unsubscribed", "status": "OK", "chanId": 19},
        subscribed(19, "ticker", "tETHUSD"),
        [19, [50, 1, 51, 2, 0, 0, 50, 5, 1, 1], 2, MS],
    )
    assert heard.account.rejected == {}
    assert len({r.instrument_id for r in heard.of(MBP1Msg)}) == 2


def test_figures_of_a_derivative(tmp_path: Path) -> None:
    """By their places in the array."""
    status: list[object] = [None] * 23
    status[0], status[2], status[3], status[7], status[11], status[14], status[17] = (
        MS,
        100,
        99.5,
        MS + 5,
        0.0001,
        100.5,
        1234.5,
    )
    ack = {"event": "subscribed", "channel": "status", "chanId": 5, "key": "deriv:tBTCF0:USTF0"}
    heard = run(tmp_path, ack, [5, status, 1, MS])
    assert heard.account.rejected == {}
    assert [r.stat_type for r in heard.of(StatMsg)] == [20001, 20002, 20003, 20004, 20005]


def test_pairs_are_symbols_without_their_letter(tmp_path: Path) -> None:
    """`BTCUSD` is the channels' tBTCUSD."""
    listed = [[["BTCUSD", [None, None, None, "0.00006", "2000.0", None, None, None, 0.2, 0.1]]]]
    heard = run(tmp_path, ("https://api-pub.bitfinex.com/v2/conf/pub:info:pair", listed))
    (made,) = heard.of(InstrumentDefMsg)
    assert made.raw_symbol == "tBTCUSD"


def test_every_single_message_gives_records_or_says_why_not(recordings: Path) -> None:
    """Each real frame, alone; two lines are REST books, which this venue's session never asks for."""
    reader = LooseMessages(load("bitfinex"))
    lines = list(read_lines(recordings / "single_messages" / "bitfinex.jsonl"))
    bad = [line for line in lines if reader.outcome(line).how in ("rejected", "unknown")]
    assert bad == [line for line in lines if line.startswith(b"[[") and line.count(b"[") > 3]
