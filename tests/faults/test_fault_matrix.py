"""Every documented misbehaviour of a venue against every venue it can happen at: what is noticed, and that the book is right after it.

Which case applies is derived from the halves (`cases.py`); a venue that is new is in the matrix as soon as its emulation has a market.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from emulator.generic import Generic
from emulator.run import synthetic_channels
from emulator.venue import emulation
from session_manager.halves import load
from tapeline import venues
from tapeline.spec.decoding import Hook
from tests.faults.bench import Bench, Noted, channels_of
from tests.faults.cases import CASES, Case, Halves

_DEPTH = 20


@cache
def _halves(venue: str) -> Halves | None:
    found = emulation(venue)
    if found is None or (isinstance(found, Generic) and found.script is None):
        return None
    session = load(venue)
    if all(place.fix is not None or not place.url for place in session.endpoints):
        return None
    served = synthetic_channels(session, found)
    return Halves(venue, session, tuple(channels_of(session, served, found.symbols[0])))


def _matrix() -> Iterator[object]:
    for venue in venues.names():
        halves = _halves(venue)
        for case in CASES if halves is not None else ():
            if halves is not None and case.applies(halves):
                yield pytest.param(venue, case, id=f"{venue}-{case.name}-{case.on}")


@pytest.fixture(scope="module")
def benches() -> Iterator[dict[str, Bench]]:
    """A bench a venue, kept from case to case."""
    held: dict[str, Bench] = {}
    yield held
    for bench in held.values():
        bench.close()


@pytest.mark.parametrize(("venue", "case"), list(_matrix()))
def test_fault(benches: dict[str, Bench], venue: str, case: Case) -> None:
    """What must be noticed is, nothing else is, and in the end the published book is the emulator's true one."""
    bench = benches.pop(venue, None) or Bench(venue)
    halves = _halves(venue)
    assert halves is not None
    try:
        bench.run(_struck(bench, case, halves))
    except BaseException:
        bench.close()
        raise
    if case.lasting:
        bench.close()
    else:
        benches[venue] = bench


async def _struck(bench: Bench, case: Case, halves: Halves) -> None:
    aim = {"book": halves.book_channel, "trade": halves.trade_channel}.get(case.on, "*")
    assert await bench.until(bench.alone, 200.0), "the case before has left something behind"
    before = bench.note()
    bench.fault(fault=case.name, channel=aim, **case.command)
    if case.anew:
        bench.fault(fault="close")
    await bench.move(bench.market.synth.period // 3)
    if case.waits:
        await bench.until(lambda: bench.struck(case.name) and _through(bench, case, halves, before), case.waits)
        bench.fault(fault="max_age", seconds=0)
    refused = bench.provider.stats()["channels_refused"]
    if case.heals:
        bench.fault(fault="close")
        await bench.until(lambda: not bench.provider.stats()["channels_refused"], 120.0)
    await bench.turn()
    assert await bench.until(bench.ready, 120.0), f"not ready: {bench.provider.stats()}, waiting {bench.waiting()}"
    await bench.turn()
    assert bench.struck(case.name), "the fault found nothing to strike"
    seen = set(bench.since(before)) | ({"refused"} if refused else set())
    must = case.must(halves)
    assert must <= seen, f"{sorted(must - seen)} did not happen, but {dict(bench.since(before))}"
    # Some venues say much that is left out on purpose, whatever happens.
    usual = {"excluded"} if isinstance(halves.session.routing.decoder, Hook) else set()
    may = case.may | usual | ({"reconnect"} if halves.reconnects and "resync" in seen else frozenset())
    assert seen <= must | may, f"{dict(bench.since(before))} beyond {sorted(must | may)}"
    for channel_id in bench.book_channels():
        assert bench.published().top(_DEPTH) == bench.true(channel_id).top(_DEPTH)


def _through(bench: Bench, case: Case, halves: Halves, before: Noted) -> bool:
    """Whether what is waited for has come about, and the channel that was struck speaks again."""
    if case.heals:
        return bool(bench.provider.stats()["channels_refused"])
    if "reconnect" in case.must(halves) and bench.provider.session.reconnects == before.reconnects:
        return False
    aim = {"book": halves.book_channel, "trade": halves.trade_channel}.get(case.on, "")
    heard = not case.anew or not aim or bench.heard.get(aim, 0.0) > max(bench.struck_at(case.name), before.time) + 1.0
    return heard and bench.ready()
