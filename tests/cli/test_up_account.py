"""How `tapeline up` counts: payloads by their receive time, delays in buckets, losses against the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import databento_dbn as dbn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.channels import ChannelName
from tapeline.cli.up.histogram import Histogram
from tapeline.cli.up.ledger import LedgerError, missing, read_sent
from tapeline.cli.up.report import Observed, make_report
from tapeline.cli.up.tally import DEFINITIONS, ChannelCounts, Tally

NOW = 1_800_000_000_000_000_000


def trade(ts_recv: int, ts_event: int = NOW) -> bytes:
    """A DBN trade."""
    return bytes(
        dbn.TradeMsg(
            publisher_id=60000, instrument_id=7, ts_event=ts_event, price=1, size=1, action=dbn.Action("T"), side=dbn.Side("B"), depth=0,
            ts_recv=ts_recv, flags=128, ts_in_delta=0, sequence=1,
        )
    )  # fmt: skip


def name(schema: str, channel: str = "trade.BTC/USD") -> ChannelName:
    """A channel of Kraken's."""
    return ChannelName.parse(f"MARKET_DATA.PRIMARY.{schema}.KRAKEN.{channel}")


def counts(payloads: int, snapshots: int = 0) -> ChannelCounts:
    """What came on a channel."""
    return {"payloads": payloads, "snapshots": snapshots}


def test_records_of_one_payload_count_once() -> None:
    """Five records with three receive times, over two messages, are three payloads."""
    tally = Tally()
    channel = name("TRADES")
    tally.take(channel, trade(NOW + 1) + trade(NOW + 1) + trade(NOW + 2), NOW + 1000)
    tally.take(channel, trade(NOW + 2) + trade(NOW + 3), NOW + 1000)
    tally.settle()
    stream = tally.streams["KRAKEN", "PRIMARY"]
    assert stream.by_channel() == {"trade.BTC/USD": counts(3)}
    assert stream.records == 5


def test_payloads_published_in_two_schemas_count_once() -> None:
    """A ticker that gives quotes and statistics is one payload on its channel."""
    tally = Tally()
    for schema in ("TRADES", "MBP_1"):
        data = trade(NOW + 1) if schema == "TRADES" else trade(NOW + 1) + bytes(32)
        tally.take(name(schema), data, NOW)
    tally.settle()
    assert tally.streams["KRAKEN", "PRIMARY"].by_channel() == {"trade.BTC/USD": counts(1)}


def test_a_venue_that_tells_milliseconds_gives_no_end_to_end_delay() -> None:
    """Only times finer than a millisecond say when a message was sent."""
    tally = Tally()
    channel = name("TRADES")
    tally.take(channel, trade(NOW + 5_000, NOW), NOW + 10_000)
    tally.settle()
    stream = tally.streams["KRAKEN", "PRIMARY"]
    assert stream.end_to_end.total == 0
    tally.take(channel, trade(NOW + 5_001, NOW + 4_000), NOW + 10_000)
    tally.settle()
    assert stream.end_to_end.total == 1


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=60), st.integers(1, 40))
def test_many_at_once_count_as_few_at_a_time(payloads: list[tuple[int, bool]], cut: int) -> None:
    """However records are cut into messages, the counts and delays are the same."""
    records = []
    for number, (times, late) in enumerate(payloads):
        records += [trade(NOW + 1000 * number + late, NOW + 500 * number + 1)] * times
    whole, pieces = Tally(), Tally()
    whole_name, pieces_name = name("TRADES"), name("TRADES")
    whole.take(whole_name, b"".join(records), NOW + 10**6)
    for start in range(0, len(records), cut):
        pieces.take(pieces_name, b"".join(records[start : start + cut]), NOW + 10**6)
        pieces.settle()
    for tally in (whole, pieces):
        tally.settle()
    first, second = (tally.streams["KRAKEN", "PRIMARY"] for tally in (whole, pieces))
    assert first.by_channel() == second.by_channel() == {"trade.BTC/USD": counts(len(payloads))}
    assert first.lag.counts() == second.lag.counts()
    assert first.end_to_end.counts() == second.end_to_end.counts()


@given(st.lists(st.integers(min_value=1_000, max_value=10**12), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_percentiles_are_right_to_two_per_cent(delays: list[int], share: float) -> None:
    """A percentile from buckets is at most 2 % above the true one and never below it."""
    histogram = Histogram()
    histogram.add(np.array(delays, dtype=np.int64))
    ordered = sorted(delays)
    place = min(len(ordered) - 1, max(0, int(np.ceil(share * len(ordered) - 1e-9)) - 1))
    found = histogram.percentile(share)
    assert found is not None
    assert ordered[place] / 1000 * 0.999 <= found * 1.0001
    assert found <= ordered[place] / 1000 * 1.0201


def test_histograms_travel_as_counts() -> None:
    """What one process counted another can add up."""
    first, second = Histogram(), Histogram()
    first.add(np.array([5_000, 7_000_000], dtype=np.int64))
    second.add_counts(json.loads(json.dumps(first.counts())))
    assert second.summary() == first.summary()
    assert first.drain().total == 2
    assert first.summary() == {"p50": None, "p99": None, "p999": None, "max": None}


def test_missing_counts_lists_by_what_they_define() -> None:
    """An instrument list is there if its definitions are; a channel that never came is missing whole."""
    sent = {"trade.BTC/USD": 10, "book.BTC/USD": 5, "instrument": 1}
    got = [{"trade.BTC/USD": counts(8), DEFINITIONS: counts(3)}]
    assert missing("kraken", sent, got) == {"trade.BTC/USD": 2, "book.BTC/USD": 5}


def test_a_requested_snapshot_stands_in_for_nothing() -> None:
    """A REST snapshot is no message of the socket; a snapshot in the stream is."""
    book = {"btcusdt@depth@100ms": counts(10, snapshots=1)}
    assert missing("binance_spot", {"btcusdt@depth@100ms": 10}, [book]) == {"btcusdt@depth@100ms": 1}
    book = {"book.BTC/USD": counts(10, snapshots=1)}
    assert missing("kraken", {"book.BTC/USD": 10}, [book]) == {}


def test_a_ledger_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Without the emulator's word nothing is called complete."""
    with pytest.raises(LedgerError):
        read_sent(tmp_path / "none")
    (tmp_path / "half").write_text('{"event":"second"}\n')
    with pytest.raises(LedgerError):
        read_sent(tmp_path / "half")


def observed(received: int, told: dict[str, Any]) -> Observed:
    """A run of one venue that was sent ten payloads."""
    histogram = Histogram()
    histogram.add(np.full(received, 250_000, dtype=np.int64))
    stream = {
        "channels": {"trade.BTC/USD": counts(received)},
        "records": 2 * received,
        "lag": histogram.counts(),
        "end_to_end": Histogram().counts(),
    }
    return Observed(
        venues=("kraken",),
        instances=("PRIMARY",),
        sent={"kraken": {"trade.BTC/USD": 10}},
        punctual=("kraken",),
        verifier={"streams": {"KRAKEN.PRIMARY": stream}, "holes": {}, "repeats": 0},
        normalizers={"PRIMARY": {"providers": {"KRAKEN": told}}},
        cpu_seconds={"redis": 0.5},
        startup_cpu_seconds={"redis": 0.1},
    )


def test_only_times_of_sending_are_delays_from_the_venue() -> None:
    """A venue whose times are something else has delays from our receipt only."""
    seen = observed(10, {})
    sent = Histogram()
    sent.add(np.array([5_000_000], dtype=np.int64))
    seen.verifier["streams"]["KRAKEN.PRIMARY"]["end_to_end"] = sent.counts()
    report = make_report(seen)
    assert (report.latency_from, report.latency_us["max"]) == ("venue", 5000.0)
    seen.punctual = ()
    report = make_report(seen)
    assert (report.latency_from, report.latency_us["max"]) == ("receipt", 250.0)


def test_what_did_not_come_is_lost() -> None:
    """Two of ten missing without a reason are two lost, and the run has failed."""
    report = make_report(observed(8, {}))
    assert report.lost == 2
    assert report.failed
    assert report.venues["kraken"].missing == {"trade.BTC/USD": 2}


def test_what_was_kept_back_on_purpose_is_not_lost() -> None:
    """Excluded and rejected payloads are listed by reason instead."""
    report = make_report(observed(8, {"excluded": {"insurance": 1}, "rejected": {"price": 1}}))
    assert report.lost == 0
    assert not report.failed
    assert report.rejected == 1
    assert report.venues["kraken"].unpublished == {"insurance": 1}
    assert report.latency_us["p50"] == pytest.approx(250, rel=0.03)
