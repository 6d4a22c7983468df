"""Desired subscriptions over a real Redis: read, followed, refused, told of; and a Redis that forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from session_manager.control import Control, Wishes, started_with
from session_manager.halves import load
from session_manager.provider import Provider
from session_manager.roles.seat import Seat
from session_manager.session.subscriptions import Status
from tapeline import control
from tapeline.control import Standing, State
from tapeline.errors import UsageError
from tapeline.redis_link import RedisLink
from tapeline.redis_place import RedisPlace
from tapeline.redis_server import start_redis
from tapeline.telemetry import TELEMETRY
from tests.session_manager.fake_venue import until

BTC, ETH = "trade.BTC/USD", "trade.ETH/USD"
SPEC = load("kraken")


@dataclass
class Session:
    """What control needs of a provider: it subscribes at once, refuses one channel, and has room for three."""

    channels: list[str]
    reconciled: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.channels) > 3:
            raise UsageError("no room")

    def reconcile(self, channels: list[str]) -> None:
        if len(channels) > 3:
            raise UsageError("no room")
        self.channels = channels
        self.reconciled.append(channels)

    @property
    def session(self) -> SimpleNamespace:
        """The states, as the session logic keeps them."""
        states = {
            name: SimpleNamespace(status=Status.REFUSED, reason="not for you")
            if name == "trade.NO/USD"
            else SimpleNamespace(status=Status.ACTIVE, reason="")
            for name in self.channels
        }
        return SimpleNamespace(lines=[SimpleNamespace(up=True, subscriptions=SimpleNamespace(states=states))])

    def start(self) -> None:
        pass


@dataclass
class Running:
    """A process' control with one provider, PRIMARY."""

    control: Control
    seat: Seat
    wishes: Wishes
    woken: list[str]

    @property
    def session(self) -> Session:
        """The session that runs."""
        return cast(Session, self.seat.running)


def make(channels: list[str]) -> Provider:
    return cast(Provider, Session(channels))


@asynccontextmanager
async def running(url: str, *given: str) -> AsyncIterator[Running]:
    wishes = Wishes(SPEC, list(given))
    seat = Seat("KRAKEN", lambda _: started_with("KRAKEN", wishes, make))
    woken: list[str] = []
    told = Control(RedisPlace(url), {"KRAKEN": seat}, {"KRAKEN": wishes}, woken.append)
    await told.first_look(2.0)
    seat.begin("PRIMARY")
    stop = asyncio.Event()
    task = asyncio.create_task(told.run(stop))
    try:
        yield Running(told, seat, wishes, woken)
    finally:
        stop.set()
        await task


async def ask(url: str, *words: str) -> object:
    link = RedisLink(RedisPlace(url), words[1], 5.0)
    try:
        return await link.ask(*words)
    finally:
        await link.close()


async def actual(url: str) -> dict[str, Standing]:
    return (await control.Control(url, "KRAKEN").read()).actual.get("PRIMARY", {})


async def eventually(url: str, condition: Callable[[dict[str, Standing]], bool]) -> dict[str, Standing]:
    """The actual state, once it is as it should be."""
    async with asyncio.timeout(5):
        while not condition(found := await actual(url)):  # noqa: ASYNC110 - Redis has no event for it
            await asyncio.sleep(0.02)
    return found


async def test_without_a_word_it_is_as_it_was_given(redis_url: str) -> None:
    """No set, no change; what has come of it is told, and lapses with who tells it."""
    async with running(redis_url, BTC, "instrument") as one:
        found = await eventually(redis_url, lambda told: len(told) == 2)
        assert found[BTC] == Standing(State.ACTIVE)
        assert one.session.reconciled == []
        left = await ask(redis_url, "PTTL", "tapeline:actual:KRAKEN:PRIMARY")
        assert isinstance(left, int)
        assert 0 < left <= 10_000


async def test_what_is_desired_is_read_before_anything_is_subscribed(redis_url: str) -> None:
    """A process that starts later begins with it."""
    await ask(redis_url, "SADD", "tapeline:desired:KRAKEN", "", ETH)
    async with running(redis_url, BTC) as one:
        assert one.session.channels == [ETH]
        assert one.session.reconciled == []


async def test_a_message_is_followed_at_once(redis_url: str) -> None:
    """The command's change reaches the session; what stays keeps its place, and the first change starts from what runs."""
    async with running(redis_url, ETH, BTC) as one:
        await eventually(redis_url, lambda told: len(told) == 2)
        by_hand = control.Control(redis_url, "KRAKEN")
        assert await by_hand.subscribe(["trade.A/USD"], SPEC) == 1
        await until(lambda: one.session.reconciled, 2)
        assert one.session.reconciled == [[ETH, BTC, "trade.A/USD"]]
        assert one.woken == ["KRAKEN"]
        assert await by_hand.unsubscribe([ETH, "trade.Z/USD"], SPEC) == 1
        await until(lambda: len(one.session.reconciled) == 2, 2)
        assert one.session.channels == [BTC, "trade.A/USD"]
        assert await by_hand.unsubscribe([BTC, "trade.A/USD"], SPEC) == 2
        # Nothing is desired, which is not the same as nobody having said anything.
        await until(lambda: one.session.channels == [], 2)
        assert (await by_hand.read()).desired == ()
        await by_hand.close()


async def test_thousands_at_once_are_as_good_as_one(redis_url: str) -> None:
    """Into the set and out of it, in both directions of the wire; the first command brings the defaults along."""
    by_hand = control.Control(redis_url, "KRAKEN")
    many = [f"trade.{n}/USD" for n in range(9000)]
    assert await by_hand.subscribe(many, SPEC) == 9000
    assert set((await by_hand.read()).desired or ()) == {*many, *control.defaults(SPEC)}
    assert await by_hand.unsubscribe(many[:8500], SPEC) == 8500
    assert set((await by_hand.read()).desired or ()) == {*many[8500:], *control.defaults(SPEC)}
    await by_hand.close()


async def test_refusals_have_their_reasons(redis_url: str) -> None:
    """The venue's, those of channels that no family knows, and those for which there is no room."""
    async with running(redis_url, BTC) as one:
        await eventually(redis_url, lambda told: len(told) == 1)
        await ask(redis_url, "SADD", "tapeline:desired:KRAKEN", "", BTC, "trade.NO/USD", "nonsense")
        await ask(redis_url, "PUBLISH", "CONTROL.KRAKEN", "")
        found = await eventually(redis_url, lambda told: len(told) == 3)
        assert found["trade.NO/USD"] == Standing(State.REFUSED, "not for you")
        assert found["nonsense"] == Standing(State.REFUSED, "no family of the venue has such channels")
        before = list(one.session.channels)
        await ask(redis_url, "SADD", "tapeline:desired:KRAKEN", "trade.A/USD", "trade.B/USD")
        await ask(redis_url, "PUBLISH", "CONTROL.KRAKEN", "")
        found = await eventually(redis_url, lambda told: len(told) == 5)
        assert found["trade.A/USD"] == Standing(State.REFUSED, "no room")
        assert found[BTC] == Standing(State.ACTIVE)
        assert one.session.channels == before
        # A takeover, too, begins with what there is room for.
        one.seat.begin("REPLICA")
        assert one.session.channels == before


async def test_lost_messages_are_made_up_for(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any message the set is looked at now and then."""
    monkeypatch.setattr("session_manager.control.LOOK_SECONDS", 0.1)
    async with running(redis_url, BTC) as one:
        await eventually(redis_url, lambda told: len(told) == 1)
        await ask(redis_url, "SADD", "tapeline:desired:KRAKEN", "", ETH)
        await until(lambda: one.session.channels == [ETH], 2)


async def test_a_redis_that_was_away_is_looked_at_when_it_is_back(tmp_path: Path) -> None:
    """What was changed meanwhile is followed; what it has forgotten is written again, and nothing is dropped for it."""
    first = start_redis(tmp_path)
    restored = TELEMETRY.value("desired_restored")
    try:
        async with running(first.url, BTC) as one:
            await ask(first.url, "SADD", "tapeline:desired:KRAKEN", "", BTC, ETH)
            await ask(first.url, "PUBLISH", "CONTROL.KRAKEN", "")
            await until(lambda: one.session.channels == [BTC, ETH], 2)
            first.process.kill()
            first.process.wait()
            second = start_redis(tmp_path, first.port)
            try:
                await until(lambda: TELEMETRY.value("desired_restored") > restored, 5)
                await eventually(second.url, lambda told: len(told) == 2)
                assert (await control.Control(second.url, "KRAKEN").read()).desired == (BTC, ETH)
                assert one.session.channels == [BTC, ETH]
                assert len(one.session.reconciled) == 1
            finally:
                second.close()
    finally:
        first.close()


async def test_whoever_stands_by_tells_nothing(redis_url: str) -> None:
    """What another holder tells under the name stays; the new one replaces it."""
    wishes = Wishes(SPEC, [BTC])
    seat = Seat("KRAKEN", lambda _: make(wishes.channels))
    stop = asyncio.Event()
    task = asyncio.create_task(
        Control(RedisPlace(redis_url), {"KRAKEN": seat}, {"KRAKEN": wishes}, lambda _: None).run(stop)
    )
    await ask(redis_url, "HSET", "tapeline:actual:KRAKEN:PRIMARY", "old", '{"status":"active"}')
    await asyncio.sleep(0.7)
    assert list(await actual(redis_url)) == ["old"]
    seat.begin("PRIMARY")
    assert list(await eventually(redis_url, lambda told: "old" not in told)) == [BTC]
    stop.set()
    await task
