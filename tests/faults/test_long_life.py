"""A session to which nothing happens, for longer than any heartbeat takes."""

from __future__ import annotations

import pytest

from tests.faults.bench import Bench


@pytest.mark.timeout(120)
@pytest.mark.parametrize("venue", ["binance_spot", "binance_coinm", "mexc"])
def test_who_answers_its_venue_s_pings_is_not_closed(venue: str) -> None:
    """Seven minutes: protocol pings, often and seldom, and pings of our own."""
    bench = Bench(venue)
    try:
        bench.run(bench.until(lambda: False, 420.0))
        assert bench.provider.session.reconnects == 0
    finally:
        bench.close()
