"""Taking channels on and giving them up while the session lives; the others hear nothing of it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import replace

import pytest

from session_manager.halves import load
from session_manager.provider import Provider, Running
from tapeline.errors import UsageError
from tapeline.schemas import Schema
from tapeline.spec.session import Budget, Pacing, Reconnect, Request
from tests.session_manager.desk import Close, Connect, Desk, Fetch, Forget
from tests.session_manager.fake_venue import FakeVenue, until
from tests.session_manager.made_up import KEYED, PLAIN, POLLED
from tests.session_manager.test_provider import payloads

LIST = Request("list", "https://x.example/list", Schema.DEFINITION, channel="list")
A, B, C = "trade:A", "trade:B", "trade:C"


def _desk(*channels: str, **changes: object) -> Desk:
    desk = Desk(PLAIN, list(channels), **changes)
    desk.open()
    for number, connection in enumerate({connect.connection for connect in desk.of(Connect)}, 1):
        desk.frame(f'{{"ok":1,"id":{1 if number else 0}}}', connection)
    desk.clear()
    return desk


def _reconcile(desk: Desk, *channels: str) -> None:
    desk.take(desk.session.reconcile(desk.now, list(channels)))


def test_only_the_difference_is_said() -> None:
    """One message for what is new, one for what is not wanted any more, none for what stays."""
    desk = _desk(A, B)
    _reconcile(desk, B, C)
    assert [(asked.operation.value, asked.channels) for asked in desk.commands()] == [
        ("unsubscribe", (A,)),
        ("subscribe", (C,)),
    ]
    desk.frame('{"ok":1,"id":2}')
    desk.frame('{"ok":1,"id":3}')
    assert list(desk.session.lines[0].subscriptions.states) == [B, C]
    desk.clear()
    _reconcile(desk, C, B)
    assert not desk.actions


def test_a_change_of_mind_is_understood() -> None:
    """Wanted, not wanted, wanted again, with answers that come later than that."""
    desk = _desk(A)
    _reconcile(desk, A, B)
    _reconcile(desk, A)
    _reconcile(desk, A, B)
    _reconcile(desk, A)
    desk.frame('{"ok":1,"id":2}')
    assert [asked.operation.value for asked in desk.commands()] == ["subscribe", "unsubscribe"]
    _reconcile(desk, A, B)
    desk.frame('{"ok":1,"id":3}')
    assert desk.commands()[-1].operation.value == "subscribe"
    desk.frame('{"ok":1,"id":4}')
    assert desk.session.lines[0].subscriptions.settled
    assert list(desk.session.lines[0].subscriptions.states) == [A, B]


def test_what_is_given_up_before_the_connection_stands_is_never_asked_for() -> None:
    """There is nothing to unsubscribe then."""
    desk = Desk(PLAIN, [A, B])
    desk.start()
    _reconcile(desk, B, C)
    desk.connect(0)
    assert [asked.channels for asked in desk.commands()] == [(B, C)]


def test_free_places_are_filled_before_connections_are_opened() -> None:
    """Two to a connection: the third opens one, and the place that A leaves is taken by D."""
    endpoint = replace(PLAIN.endpoints[0], max_channels=2)
    desk = _desk(A, B, endpoints=(endpoint,))
    _reconcile(desk, A, B, C)
    assert [connect.connection for connect in desk.of(Connect)] == [1]
    desk.connect(1)
    desk.frame('{"ok":1,"id":1}', 1)
    desk.clear()
    _reconcile(desk, B, C, "trade:D")
    assert not desk.of(Connect)
    assert [asked.channels for asked in desk.commands()] == [(A,), ("trade:D",)]


def test_an_empty_connection_is_closed() -> None:
    """After its channels have been left; it is not made anew, and the books of others do not hear of it."""
    endpoint = replace(PLAIN.endpoints[0], max_channels=1)
    desk = _desk(A, B, endpoints=(endpoint,))
    _reconcile(desk, A)
    assert not desk.of(Close)
    desk.frame('{"ok":1,"id":2}', 1)
    assert desk.of(Close) == [Close(1, "empty")]
    desk.wait(100.0)
    assert not desk.of(Connect)
    assert not desk.session_events()
    assert len(desk.session.lines) == 1


def test_what_finds_no_place_changes_nothing() -> None:
    """It is refused as a whole, with the venue's limit."""
    endpoint = replace(PLAIN.endpoints[0], max_channels=1, max_connections=2)
    desk = _desk(A, B, endpoints=(endpoint,))
    with pytest.raises(UsageError, match="the venue allows 2"):
        desk.session.reconcile(desk.now, [A, B, C])
    desk.wait(1.0)
    assert not desk.commands()
    _reconcile(desk, A, C)
    # One after the other on the same connection: the place is free when it is asked for.
    assert [asked.channels for asked in desk.commands()] == [(B,), (C,)]


def test_keys_of_what_is_given_up_are_forgotten() -> None:
    """Left by its key, which then names nothing."""
    desk = Desk(KEYED, ["book:A", "book:B"])
    desk.open()
    desk.frame('{"event":"subscribed","channel":"book","chanId":11,"symbol":"A"}')
    desk.frame('{"event":"subscribed","channel":"book","chanId":12,"symbol":"B"}')
    _reconcile(desk, "book:B")
    assert desk.texts()[-1] == '{"event":"unsubscribe","chanId":11}'
    desk.frame('{"event":"unsubscribed","chanId":11}')
    assert desk.of(Forget) == [Forget(0, "11")]


def test_a_requested_list_is_asked_for_when_it_is_wanted() -> None:
    """Channels by request come and go too."""
    desk = Desk("binance_spot", ["btcusdt@trade"])
    desk.open()
    _reconcile(desk, "btcusdt@trade", "exchangeInfo")
    assert len(desk.of(Fetch)) == 1
    _reconcile(desk, "btcusdt@trade")
    desk.answer(desk.of(Fetch)[0].key)
    assert not desk.payloads("exchangeInfo")


def test_the_pace_is_kept() -> None:
    """However many are wanted at once."""
    desk = _desk(A, pacing=Pacing((Budget(2, 1.0),)), subscription=replace(PLAIN.subscription, max_args=10))
    desk.wait(2.0)
    _reconcile(desk, A, *(f"trade:S{number}" for number in range(100)))
    assert len(desk.commands()) == 2
    desk.wait(4.5)
    assert len(desk.commands()) == 10


def test_both_connections_of_a_rotation_hear_of_it() -> None:
    """The old one may still be the one that stays."""
    desk = _desk(A, reconnect=Reconnect())
    desk.session.lines[0].retiring = True
    desk.wait(0.1)
    desk.connect(1)
    desk.clear()
    _reconcile(desk, A, B)
    assert {send.channels for send in desk.commands()} == {(B,)}
    assert len(desk.commands()) == 2


def test_an_unsubscription_without_an_answer_costs_nothing() -> None:
    """The channels that stay are not made to suffer for it."""
    desk = _desk(A, B)
    desk.seen(A, B)
    _reconcile(desk, A)
    desk.wait(30.0)
    assert not desk.of(Close)
    assert desk.reports("unsubscribe_unanswered") == [{"channels": (B,)}]
    assert list(desk.session.lines[0].subscriptions.states) == [A]


def test_what_is_wanted_before_the_start_is_over_is_what_is_opened() -> None:
    """While the instruments are still being asked for, nothing is opened but what is wanted in the end."""
    desk = Desk(POLLED, ["trades:A", "list"], requests=(*POLLED.requests, LIST), instruments=("list",))
    desk.take(desk.session.start(desk.now))
    desk.clear()
    desk.take(desk.session.reconcile(desk.now, ["depth:A", "list"]))
    desk.wait(6.0)
    assert [fetch.url[18:23] for fetch in desk.of(Fetch)][-1:] == ["depth"]
    assert not [fetch for fetch in desk.of(Fetch) if "trades" in fetch.url]


async def test_five_hundred_symbols_more_and_less_lose_nothing_on_the_others() -> None:
    """A live session of ten symbols: their numbers have no hole, one connection carries all, and the new ones flow meanwhile."""
    spec = load("binance_spot")
    base = [f"base{number}usdt@trade" for number in range(10)]
    more = [f"more{number}usdt@trade" for number in range(500)]
    wanted: set[str] = set()
    counted: dict[str, int] = defaultdict(int)

    async def trade(venue: FakeVenue) -> None:
        while True:
            for asked in venue.commands:
                (wanted.update if asked.operation.value == "subscribe" else wanted.difference_update)(asked.channels)
            venue.commands.clear()
            for channel in sorted(wanted):
                counted[channel] += 1
                await venue.send(f'{{"stream":"{channel}","data":{{"e":"trade","t":{counted[channel]}}}}}')
            await asyncio.sleep(0.002)

    async with FakeVenue(spec, lambda asked: [f'{{"result":null,"id":{asked.number}}}']) as venue:
        running = Running("binance_spot", "BINANCE_SPOT", "PRIMARY", time.time_ns(), 256 << 20, 0.001, venue.base)
        provider = Provider(spec, base, running)
        provider.start()
        await until(lambda: venue.clients)
        task = asyncio.create_task(trade(venue))
        await until(lambda: wanted >= set(base))
        provider.reconcile([*base, *more])
        await until(lambda: len(wanted) == 510 and min(counted[channel] for channel in more) > 2, 30.0)
        await until(lambda: provider.stats()["channels_active"] == 510)
        provider.reconcile(base)
        await until(lambda: wanted == set(base), 30.0)
        await until(lambda: provider.stats()["channels_active"] == 10)
        until_now = dict(counted)
        await until(lambda: all(counted[channel] > until_now[channel] + 3 for channel in base))
        task.cancel()
        found: dict[str, list[int]] = defaultdict(list)
        connections = set()
        sent = dict(counted)
        await until(lambda: provider.router.open_payloads == 0 and sum(sent.values()) + 1 <= provider.payloads)
        for _, name, connection, _, data in payloads(provider):
            if name != "_session":
                found[name].append(int(data.rsplit(b":", 1)[1].rstrip(b"}")))
                connections.add(connection)
        await provider.stop()
    for channel in [*base, *more]:
        assert found[channel] == list(range(1, sent[channel] + 1)), channel
    assert connections == {0}
    assert provider.session.reconnects == 0
