"""A venue that only answers, on real sockets: its faults cost time, never a trade, and what is lost is named exactly."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from databento_dbn import DBNDecoder, TradeMsg
from tapeline_kernel import Event, Normalizer

from emulator.run import Options
from emulator.venues import kraken_rest
from session_manager.halves import load
from session_manager.provider import Provider, Running
from tapeline.spec.encode import encode
from tapeline.spec.session import Budget, Session
from tapeline.venues import load as load_venue
from tests.emulator.client import running
from tests.session_manager.fake_venue import until
from tests.session_manager.test_provider import payloads

TRADES = "trades@XBTUSD"


def hasty() -> Session:
    """The session half, asking four times a second."""
    session = load("kraken_rest")
    families = tuple(
        replace(family, poll=replace(family.poll, every=0.25)) for family in session.families if family.poll is not None
    )
    return replace(session, families=families, rest=Budget(20, 1.0))


@asynccontextmanager
async def venue() -> AsyncIterator[tuple[Provider, str]]:
    """A session with an emulated venue; the address of its faults."""
    async with running(Options(("kraken_rest",), rate=500, live=True)) as emulator:
        base = f"http://127.0.0.1:{emulator.port}"
        made = Running("kraken_rest", "KRAKEN_REST", "PRIMARY", time.time_ns(), 64 << 20, 0.001, base)
        provider = Provider(hasty(), [TRADES], made)
        provider.start()
        try:
            yield provider, f"{base}/_tapeline/kraken_rest/fault"
        finally:
            await provider.stop()


def pages(provider: Provider) -> list[list[int]]:
    """The trade ids of each page."""
    found = []
    for _, name, _, _, data in payloads(provider):
        if name == TRADES:
            result = json.loads(data)["result"]
            found.append([row[6] for key, rows in result.items() if key != "last" for row in rows])
    return found


def heard(provider: Provider) -> tuple[list[TradeMsg], list[Event]]:
    """Trades, and gaps of ids, that the kernel makes of all that is in the ring."""
    kernel = Normalizer(encode(load_venue("kraken_rest").meaning), "KRAKEN_REST", "PRIMARY", "dbn")
    cursor, _ = provider.ring.open("kernel", None)
    decoder = DBNDecoder(has_metadata=False, input_version=3)
    events: list[Event] = []
    while (item := provider.ring.read(cursor)) is not None:
        output = kernel.normalize(item.data)  # type: ignore[union-attr]  # nothing is lost here
        decoder.write(output.data)
        events += [event for event in output.events if event.kind == "gap" and event.channel]
    provider.ring.release(cursor)
    assert kernel.counters()["rejected"] == {}
    return [one for one in decoder.decode() if isinstance(one, TradeMsg)], events


async def test_refusals_errors_and_caches_cost_no_trade() -> None:
    """429 with Retry-After, an error in a good answer, a body out of a cache: asked again from where it stood."""
    async with venue() as (provider, faults):
        await until(lambda: len(pages(provider)) > 2)
        async with httpx.AsyncClient() as client:
            for fault in ("reject_rest", "rest_error_200", "cached"):
                told = await client.post(faults, json={"fault": fault, "channel": "XBTUSD"})
                assert told.status_code == 200
                before = len(pages(provider))
                await until(lambda before=before: len(pages(provider)) > before + 2)  # type: ignore[misc]
        await provider.stop()
        came = [one for page in pages(provider) for one in page]
        trades, gaps = heard(provider)
    assert len(came) > len(set(came)), "a body came out of a cache"
    assert sorted(set(came)) == list(range(min(came), max(came) + 1))
    assert len(trades) == len(set(came))
    assert gaps == []


def ids(provider: Provider) -> list[int]:
    """Trades that came."""
    return sorted({one for page in pages(provider) for one in page})


def lacking(came: list[int]) -> list[tuple[int, int]]:
    """The first and last of those missing between them."""
    return [(one + 1, other - 1) for one, other in itertools.pairwise(came) if other > one + 1]


async def test_a_window_shorter_than_the_burst_is_a_gap_with_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue keeps too few trades for how seldom it is asked: exactly those it no longer had are named."""
    async with venue() as (provider, _):
        await until(lambda: sum(map(len, pages(provider))) > 20)
        monkeypatch.setattr(kraken_rest, "_KEPT", 3)
        await until(lambda: len(lacking(ids(provider))) > 3)
        await provider.stop()
        came = ids(provider)
        trades, gaps = heard(provider)
    missing = lacking(came)
    assert [(event.from_id, event.to_id) for event in gaps] == missing
    assert len(trades) == len(came)
