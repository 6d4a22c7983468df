"""Forms of subscribing beside single messages: sets that replace one another, sets in the address."""

from __future__ import annotations

from tests.session_manager.desk import Close, Connect, Desk
from tests.session_manager.made_up import IN_URL, REPLACING

A, B, C = "trade:A", "trade:B", "trade:C"


def _codes(text: str) -> list[str]:
    return [part[0] for part in text.split('"codes":["')[1:]]


def test_every_message_holds_the_whole_set() -> None:
    """A channel more or less sends all that is wanted again; the set is read back."""
    desk = Desk(REPLACING, [A, B])
    desk.open()
    assert _codes(desk.texts()[0]) == ["A", "B"]
    desk.take(desk.session.reconcile(desk.now, [A, B, C]))
    assert _codes(desk.texts()[1]) == ["A", "B", "C"]
    desk.take(desk.session.reconcile(desk.now, [B, C]))
    assert _codes(desk.texts()[2]) == ["B", "C"]
    assert len(desk.texts()) == 3
    assert desk.session.lines[0].subscriptions.settled


def test_a_set_that_cannot_be_left_is_left_by_closing() -> None:
    """There is nothing to unsubscribe."""
    desk = Desk(REPLACING, [A])
    connection = desk.open()
    desk.take(desk.session.stop(desk.now))
    assert len(desk.texts()) == 1
    assert desk.of(Close) == [Close(connection, "stopped")]
    assert desk.session.stopped


def test_the_set_stands_in_the_address() -> None:
    """No message is sent; connected is subscribed."""
    desk = Desk(IN_URL, [A, B])
    desk.open()
    assert desk.of(Connect)[0].url == "wss://plain.example/stream?streams=a@trade/b@trade"
    assert not desk.texts()
    assert desk.session.lines[0].subscriptions.settled


def test_another_set_is_another_connection_without_a_gap() -> None:
    """The one for the new set stands, and its data flow, before the old one is closed."""
    desk = Desk(IN_URL, [A, B])
    old = desk.open()
    desk.take(desk.session.reconcile(desk.now, [B, C]))
    heir = desk.of(Connect)[-1]
    assert heir.url == "wss://plain.example/stream?streams=b@trade/c@trade"
    desk.connect(heir.connection)
    desk.seen(B, connection=old)
    assert not desk.of(Close)
    desk.seen(B, C, connection=heir.connection)
    desk.drain(old)
    assert desk.of(Close) == [Close(old, "rotated")]
    assert not desk.reports("connection_lost")


def test_a_lost_connection_takes_the_newest_set() -> None:
    """What was changed meanwhile is in the next address."""
    desk = Desk(IN_URL, [A, B])
    desk.start()
    desk.take(desk.session.reconcile(desk.now, [B]))
    desk.close(0, 0, "refused")
    desk.wait(2.0)
    assert desk.of(Connect)[-1].url == "wss://plain.example/stream?streams=b@trade"
