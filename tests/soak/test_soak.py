"""A minute of the soak: ten venues, both instances, one fault of each sort."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.options import Options
from tests.soak.outcome import text
from tests.soak.running import soak
from tests.soak.schedule import SHORT, Kind, schedule


@pytest.mark.timeout(300)
def test_every_payload_is_accounted_for_whatever_goes_wrong(tmp_path: Path) -> None:
    """What the emulator's ledger says was sent is in MERGED and in the coalesced raw store, each once."""
    options = Options(
        tmp_path, seconds=65.0, rate=5_000, steps=len(SHORT), kinds=SHORT, linger_us=20_000, settle_seconds=0.5, outage_seconds=4.0,
    )  # fmt: skip
    outcome = soak(options)
    assert outcome.problems == [], text(outcome)
    assert outcome.sent > 0.9 * 5_000 * 65
    # The last ones have their turn where the machine is quick enough.
    done = {step["kind"] for step in outcome.steps}
    assert done >= {
        kind.value
        for kind in (Kind.KILL_NORMALIZER, Kind.KILL_SESSION_MANAGER, Kind.GAP, Kind.CLOSE, Kind.REDIS_FAILOVER)
    }


def test_a_seed_gives_the_same_schedule_with_every_kind() -> None:
    """Sixty steps have each kind at least once; another seed gives others."""
    venues = ("a", "b", "c")
    steps = schedule(7, 60, venues)
    assert steps == schedule(7, 60, venues)
    assert steps != schedule(8, 60, venues)
    assert {step.kind for step in steps} == set(Kind)
