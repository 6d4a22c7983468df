"""Every payload comes to something that is counted: records, an exclusion, a reject, or a place in a book's buffer."""

from __future__ import annotations

from pathlib import Path

from tests.support.told import told

MS = 1_780_000_000_000


def test_a_payload_that_gives_nothing_is_counted_as_that(tmp_path: Path) -> None:
    """A figure whose every value is empty, and a list without entries: neither record nor reject (but once a definition)."""
    empty = {
        "stream": "btcusd_perp@markPrice",
        "data": {"e": "markPriceUpdate", "E": MS, "s": "BTCUSD_PERP", "p": "", "r": "", "T": 0},
    }
    heard = told(
        "binance_coinm",
        "wss://dstream.binance.com/stream",
        [empty, empty, ("https://dapi.binance.com/dapi/v1/exchangeInfo", {"symbols": []})],
        tmp_path,
    )
    assert heard.account.rejected == {}
    assert heard.account.excluded == {"nothing to tell": 2}
