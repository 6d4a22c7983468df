"""OKX by hand: links that may lead back, checksums until 2026, sizes in contracts, single messages of all kinds."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from databento_dbn import UNDEF_PRICE, InstrumentDefMsg, MBOMsg, MBP1Msg, OHLCVMsg, StatMsg, StatusMsg, TradeMsg

from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.venues import load
from tests.support.told import START, Told, told

URL = "wss://ws.okx.com/ws/v5/public"
MS = 1_780_000_000_000
BEFORE = 1_700_000_000_000_000_000
"""A day in 2023, when checksums were given; `START` is in May 2026, so they are too."""
AFTER = 1_790_000_000_000_000_000
SNAPSHOT = ([["10", "4", "0", "1"]], [["10.2", "7.25", "0", "3"]])


def run(folder: Path, *said: object, at: int = START) -> Told:
    """What becomes of messages."""
    return told("okx", URL, said, folder, at)


def push(channel: str, symbol: str, *data: object, **more: object) -> dict[str, object]:
    """A push of a channel."""
    return {"arg": {"channel": channel, "instId": symbol}, **more, "data": list(data)}


def book(
    action: str, previous: int | None, number: int | None, bids: object, asks: object, checksum: int = 0
) -> dict[str, object]:
    """A message of `books`; without numbers as before 2023."""
    ids = {} if number is None else {"prevSeqId": previous, "seqId": number}
    data = {"asks": asks, "bids": bids, "ts": str(MS), "checksum": checksum, **ids}
    return push("books", "ABC-USDT", data, action=action)


def signed(text: str) -> int:
    """A CRC32 as the venue writes it."""
    number = crc32(text.encode())
    return number - (1 << 32) if number >> 31 else number


def test_updates_that_say_nothing_and_ids_that_fall_keep_the_chain(tmp_path: Path) -> None:
    """Once a minute an update repeats its own id, and after maintenance ids start lower: both are linked, and legal."""
    heard = run(
        tmp_path,
        book("snapshot", -1, 100, *SNAPSHOT),
        book("update", 100, 100, [], []),
        book("update", 100, 105, [["9.9", "1", "0", "1"]], []),
        book("update", 105, 3, [["9.8", "1", "0", "1"]], []),
        book("update", 3, 4, [], [["10.2", "0", "0", "0"]]),
        at=AFTER,
    )
    assert heard.account.links == {"ok": 4, "broken": 0}
    assert (heard.account.rejected, heard.account.resyncs) == ({}, 0)
    assert [str(r.action) for r in heard.of(MBOMsg)] == ["R", "A", "A", "N", "A", "A", "C"]


def test_a_hole_is_a_gap_until_the_next_snapshot(tmp_path: Path) -> None:
    """What follows the hole is published as doubtful; the snapshot after the new subscription ends that."""
    heard = run(
        tmp_path,
        book("snapshot", -1, 100, *SNAPSHOT),
        book("update", 101, 105, [["9.9", "1", "0", "1"]], []),
        book("snapshot", -1, 110, *SNAPSHOT),
        at=AFTER,
    )
    assert heard.account.links == {"ok": 0, "broken": 1}
    assert len(heard.of(StatusMsg)) == 2


@pytest.mark.parametrize(("at", "good", "bad"), [(BEFORE, 1, 1), (AFTER, 0, 0)])
def test_checksums_count_until_the_venue_ended_them(tmp_path: Path, at: int, good: int, bad: int) -> None:
    """CRC32 over bid, ask, bid, … as written; after 2026-06-23 whatever stands there says nothing."""
    text = "10:4:10.2:7.25:9.90:1.00"
    heard = run(
        tmp_path,
        book("snapshot", -1, 100, *SNAPSHOT, checksum=0),
        book("update", 100, 101, [["9.90", "1.00", "0", "1"]], [], checksum=signed(text)),
        book("update", 101, 102, [["9.90", "2", "0", "1"]], [], checksum=signed(text)),
        at=at,
    )
    assert heard.account.checksums == {"ok": good, "bad": bad}


def test_books_without_sequence_are_those_of_2022(tmp_path: Path) -> None:
    """They have no link; at their time the checksum proved them, in a replay of today nothing does."""
    messages = (book("snapshot", None, None, *SNAPSHOT, checksum=signed("10:4:10.2:7.25")),)
    assert run(tmp_path, *messages, at=BEFORE).account.checksums == {"ok": 1, "bad": 0}
    later = run(tmp_path, *messages, at=AFTER)
    assert (later.account.rejected, later.account.records) == ({}, {"definition": 1, "mbo": 3})


def test_sides_without_orders_are_undefined(tmp_path: Path) -> None:
    """An empty array in `bbo-tbt`, an empty text in `tickers`."""
    bbo = {"asks": [], "bids": [["10", "4", "0", "1"]], "ts": str(MS), "seqId": 5}
    ticker = {"instId": "ABC-USDT", "askPx": "10.2", "askSz": "3", "bidPx": "", "bidSz": "", "ts": str(MS)}
    one, two = run(tmp_path, push("bbo-tbt", "ABC-USDT", bbo), push("tickers", "ABC-USDT", ticker)).of(MBP1Msg)
    assert (one.levels[0].bid_px, one.levels[0].ask_px, one.sequence) == (10_000_000_000, UNDEF_PRICE, 5)
    assert (two.levels[0].bid_px, two.levels[0].ask_px) == (UNDEF_PRICE, 10_200_000_000)


def test_a_trade_told_again_on_subscribing_is_published_once(tmp_path: Path) -> None:
    """A subscription begins with the last trade; ids of joined fills have holes, and both are no loss."""
    trade = {"instId": "ABC-USDT", "px": "10", "sz": "1", "side": "sell", "ts": str(MS), "count": "2", "source": "0"}
    said = [push("trades", "ABC-USDT", {**trade, "tradeId": n}) for n in ("7", "9", "9", "15")]
    heard = run(tmp_path, *said)
    assert [(r.sequence, str(r.side)) for r in heard.of(TradeMsg)] == [(7, "A"), (9, "A"), (15, "A")]
    assert (heard.account.excluded, heard.account.links["broken"]) == ({"repeated trade": 1}, 0)


def test_contracts_are_worth_what_the_list_says(tmp_path: Path) -> None:
    """Inverse ones so many dollars; linear ones a part of a coin, which DBN's whole multiplier cannot say."""
    common = {"instType": "SWAP", "tickSz": "0.1", "lotSz": "0.1", "expTime": "", "listTime": "1573557408000"}
    linear = {"instId": "BTC-USDT-SWAP", "settleCcy": "USDT", "ctVal": "0.01", "ctValCcy": "BTC", "ctType": "linear"}
    inverse = {"instId": "BTC-USD-SWAP", "settleCcy": "BTC", "ctVal": "100", "ctValCcy": "USD", "ctType": "inverse"}
    listed = {"code": "0", "msg": "", "data": [{**common, **linear}, {**common, **inverse}]}
    url = "https://openapi.okx.com/api/v5/public/instruments?instType=SWAP"
    one, two = run(tmp_path, (url, listed)).of(InstrumentDefMsg)
    assert (one.asset, one.currency, one.unit_of_measure, one.unit_of_measure_qty) == ("BTC", "", "CONTRACT", 10**8)
    assert (two.asset, two.currency, two.settl_currency, two.contract_multiplier) == ("BTC", "USD", "BTC", 100)
    assert one.contract_multiplier not in (0, 1)


def test_only_closed_candles_are_bars(tmp_path: Path) -> None:
    """The ninth value says so; candles of 2022 have none."""
    candle = ["1780000020000", "10", "11", "9", "10.5", "12", "1", "120"]
    said = [push("candle1m", "ABC-USDT", [*candle, mark]) for mark in "01"]
    heard = run(tmp_path, *said, push("candle1m", "ABC-USDT", candle[:7]), push("candle5m", "ABC-USDT", candle))
    (bar,) = heard.of(OHLCVMsg)
    assert (bar.ts_event, bar.close) == (1_780_000_020_000_000_000, 10_500_000_000)
    assert heard.account.excluded == {
        "candle still open": 1,
        "candle without a closing mark": 1,
        "candle of another interval or price": 1,
    }


def test_figures_are_statistics(tmp_path: Path) -> None:
    """Mark, index, funding and when it is paid, open interest."""
    common = {"instId": "ABC-USDT-SWAP", "ts": str(MS)}
    heard = run(
        tmp_path,
        push("mark-price", "ABC-USDT-SWAP", {**common, "markPx": "10.1"}),
        push("index-tickers", "ABC-USDT", {"instId": "ABC-USDT", "idxPx": "10.2", "ts": str(MS)}),
        push("funding-rate", "ABC-USDT-SWAP", {**common, "fundingRate": "0.0001", "fundingTime": str(MS + 1)}),
        push("open-interest", "ABC-USDT-SWAP", {**common, "oi": "7"}),
    )
    assert [r.stat_type for r in heard.of(StatMsg)] == [20001, 20002, 20003, 20004, 20005]


def test_words_and_notices_are_control(tmp_path: Path) -> None:
    """A pong is no payload, nor is the warning before an upgrade or a refusal."""
    heard = run(
        tmp_path,
        "pong",
        {"event": "notice", "code": "64008", "msg": "The connection will soon be closed.", "connId": "a"},
        {"event": "error", "code": "64003", "msg": "Your trading fee tier is too low.", "connId": "a", "id": "4"},
        {"event": "channel-conn-count", "channel": "orders", "connCount": "2", "connId": "a"},
    )
    assert heard.account.rejected == {}
    assert set(heard.account.control) == {"connect", "heartbeat", "upgrade", "fee tier", "connections"}


@pytest.mark.parametrize("name", ["okx", "okx_v3"])
def test_every_single_message_gives_records_or_says_why_not(recordings: Path, name: str) -> None:
    """Each real line of 2022, alone; those of the API that ended then are left out for that reason."""
    reader = LooseMessages(load("okx"))
    found = {line: reader.outcome(line) for line in read_lines(recordings / "single_messages" / f"{name}.jsonl")}
    assert found
    assert {line: told for line, told in found.items() if told.how in ("rejected", "unknown")} == {}
    if name == "okx_v3":
        assert {told.why for told in found.values()} == {"API v3, which ended in 2022"}
