"""Kraken by REST: pages that overlap or leave something out, samples that say nothing new, lists by inner names."""

from __future__ import annotations

from pathlib import Path

from databento_dbn import InstrumentDefMsg, MBOMsg, MBP1Msg, TradeMsg

from tests.support.told import Told, told

PUBLIC = "https://api.kraken.com/0/public"
SECOND = 1_780_000_000


def run(folder: Path, *said: object) -> Told:
    """What becomes of answers."""
    return told("kraken_rest", "", said, folder)


def page(*ids: int, since: str = "", pair: str = "XBTUSD", inside: str = "XXBTZUSD") -> tuple[str, object]:
    """A page of trades, as their documentation writes it."""
    rows = [["30243.40000", "0.34507674", SECOND + 0.8277369, "b" if one % 2 else "s", "m", "", one] for one in ids]
    query = f"?pair={pair}&since={since}&count=1000" if since else f"?pair={pair}&count=1000"
    return f"{PUBLIC}/Trades{query}", {"error": [], "result": {inside: rows, "last": "1688671969993150842"}}


def depth(*bids: list[object], asks: tuple[list[object], ...] = ()) -> tuple[str, object]:
    """A book."""
    return (
        f"{PUBLIC}/Depth?pair=XBTUSD&count=100",
        {"error": [], "result": {"XXBTZUSD": {"asks": list(asks), "bids": list(bids)}}},
    )


def test_pages_that_overlap_give_each_trade_once(tmp_path: Path) -> None:
    """The first page is the newest trades, the next begin behind its last; what comes again is known by its id."""
    heard = run(tmp_path, page(10, 11, 12), page(11, 12, 13, since="17"), page(13, since="17"))
    assert [one.sequence for one in heard.of(TradeMsg)] == [10, 11, 12, 13]
    assert [str(one.side) for one in heard.of(TradeMsg)] == ["A", "B", "A", "B"]
    assert heard.of(TradeMsg)[0].ts_event == SECOND * 10**9 + 827_736_900
    assert heard.account.excluded == {"repeated trade": 3}
    assert heard.account.links == {"ok": 4, "broken": 0}


def test_a_window_shorter_than_the_burst_is_a_gap_with_exact_bounds(tmp_path: Path) -> None:
    """13 to 19 were gone before they were asked for."""
    heard = run(tmp_path, page(10, 11, 12), page(20, 21, since="17"))
    assert heard.account.links["broken"] == 1
    assert heard.account.events["gap"] == 1
    assert [one.sequence for one in heard.of(TradeMsg)] == [10, 11, 12, 20, 21]


def test_each_pair_has_ids_of_its_own(tmp_path: Path) -> None:
    """The channel tells the pair; the answer's own name for it does not matter."""
    heard = run(tmp_path, page(10, 11), page(5, 6, pair="ETHUSD", inside="XETHZUSD"), page(12, since="1"))
    assert heard.account.links == {"ok": 5, "broken": 0}
    assert len({one.instrument_id for one in heard.of(TradeMsg)}) == 2


def test_a_book_that_has_not_changed_says_nothing(tmp_path: Path) -> None:
    """Sampled: the same again, or out of a cache, is counted; a changed one replaces the book."""
    first = depth(["30297.8", "1.115", SECOND], asks=(["30384.1", "2.059", SECOND],))
    heard = run(tmp_path, first, first, depth(["30297.8", "0.5", SECOND + 9]), first)
    assert heard.account.excluded == {"unchanged": 1}
    assert [str(one.action) for one in heard.of(MBOMsg)] == ["R", "A", "A", "R", "A", "R", "A", "A"]


def test_a_ticker_is_a_top_whose_size_stands_third(tmp_path: Path) -> None:
    """Price, whole lots, lots; a side that is empty is none."""
    url = f"{PUBLIC}/Ticker?pair=XBTUSD"
    ticker = {"a": ["30300.10000", "2", "1.500"], "b": ["30300.00000", "1", "0.250"], "c": ["30303.2", "0.00067643"]}
    heard = run(
        tmp_path,
        (url, {"error": [], "result": {"XXBTZUSD": ticker}}),
        (url, {"error": [], "result": {"XXBTZUSD": {**ticker, "a": []}}}),
    )
    one, other = heard.of(MBP1Msg)
    assert (one.levels[0].bid_px, one.levels[0].ask_px) == (30_300_000_000_000, 30_300_100_000_000)
    assert (one.levels[0].bid_sz, one.levels[0].ask_sz) == (25_000_000, 150_000_000)
    assert other.levels[0].ask_sz == 0


def test_pairs_are_listed_by_names_nobody_asks_for(tmp_path: Path) -> None:
    """An object of objects: the name to ask by stands inside."""
    pair = {
        "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1,
        "lot_decimals": 8, "tick_size": "0.1", "status": "online",
    }  # fmt: skip
    other = {**pair, "altname": "SHIBUSD", "base": "SHIB", "pair_decimals": 8, "lot_decimals": 5, "tick_size": None}
    heard = run(tmp_path, (f"{PUBLIC}/AssetPairs", {"error": [], "result": {"XXBTZUSD": pair, "SHIBUSD": other}}))
    listed = {one.raw_symbol: one for one in heard.of(InstrumentDefMsg)}
    assert (listed["XBTUSD"].min_price_increment, listed["XBTUSD"].unit_of_measure_qty) == (100_000_000, 10)
    assert (listed["SHIBUSD"].min_price_increment, listed["SHIBUSD"].unit_of_measure_qty) == (10, 10_000)
    assert heard.account.rejected == {}
