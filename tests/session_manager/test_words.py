"""What venues say in words: bare pings, globs, failures in successful answers, lists in a text, heartbeats that must be in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from session_manager.session.calls import accepted
from tapeline.spec.routing import Match
from tapeline.spec.session import (
    Accepted,
    Ack,
    AckBy,
    Budget,
    Carrier,
    ErrorRule,
    Pacing,
    Scope,
    ServerPing,
    Severity,
)
from tapeline.spec.subscribe import command
from tapeline.spec.template import decode, fits
from tests.session_manager.desk import Close, Desk
from tests.session_manager.made_up import KEYED, PLAIN, TOKENS

A, B = "trade:BTC-USDT", "trade:BTC-USDT-SWAP"


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("Ping", "Pong"),
        ('{"ping":1492420473027}', '{"pong":1492420473027}'),
        ('{"op":"ping","ts":"7"}', '{"op":"pong","ts":"7"}'),
        (
            '{"id":1587523073344,"method":"public/heartbeat"}',
            '{"id":1587523073344,"method":"public/respond-heartbeat"}',
        ),
    ],
)
def test_a_venues_ping_gets_its_own_words_back(said: str, reply: str) -> None:
    """Bare words and JSON, with what is to be echoed as it stood there."""
    pings = (
        ServerPing(Carrier.TEXT, (Match("", ("Ping",)),), "Pong"),
        ServerPing(Carrier.JSON, (Match("op", ("ping",)),), '{"op":"pong","ts":"${=ts}"}'),
        ServerPing(Carrier.JSON, (Match("ping"),), '{"pong":${=ping}}'),
        ServerPing(
            Carrier.JSON,
            (Match("method", ("public/heartbeat",)),),
            '{"id":${=id},"method":"public/respond-heartbeat"}',
        ),
    )
    desk = Desk(PLAIN, [A], server_pings=pings)
    desk.open()
    assert desk.frame(said)
    assert desk.texts()[-1] == reply


def test_a_ping_that_looks_like_a_template_is_only_echoed() -> None:
    """What a venue says is never filled in."""
    desk = Desk(PLAIN, [A], server_pings=(ServerPing(Carrier.JSON, (Match("ping"),), '{"pong":"${=ping}"}'),))
    desk.open()
    assert desk.frame('{"ping":"${nonsense}"}')
    assert desk.texts()[-1] == '{"pong":"${nonsense}"}'


def test_a_heartbeat_does_not_wait_for_an_hours_budget() -> None:
    """Twenty messages an hour, all wanted for subscriptions: the answer goes out at once nonetheless, within the twenty."""
    pings = (ServerPing(Carrier.JSON, (Match("ping"),), '{"pong":${=ping}}'),)
    desk = Desk(
        PLAIN,
        [f"trade:S{n}" for n in range(40)],
        server_pings=pings,
        pacing=Pacing((Budget(20, 3600.0),)),
        subscription=replace(PLAIN.subscription, max_args=1),
    )
    desk.open()
    assert len(desk.texts()) == 18
    desk.frame('{"ping":1}')
    desk.frame('{"ping":2}')
    assert desk.texts()[18:] == ['{"pong":1}', '{"pong":2}']


def test_globs_are_conditions() -> None:
    """`*` and `?`, of which one must fit; other signs mean themselves; `absent` turns it round."""
    value = decode('{"msg":"Not Subscribed successfully! [a.b]. Reason： Blocked!","n":17}')
    assert fits(value, (Match("msg", like=("Not Subscribed*",)),))
    assert fits(value, (Match("msg", like=("x*", "*[a.b]*")),))
    assert fits(value, (Match("n", like=("1?",)),))
    assert not fits(value, (Match("n", like=("?",)),))
    assert not fits(value, (Match("msg", like=("*a*c*]",)),))
    assert not fits(value, (Match("msg", like=("Not*",), absent=True),))
    assert fits(value, (Match("gone", like=("*",), absent=True),))
    assert fits(value, (Match("n", equals=("16",), like=("17",)),))


def _sold() -> Desk:
    """MEXC-like: success is code 0 whatever happened; the text says what was refused."""
    desk = Desk(
        PLAIN,
        [A, B, "trade:X"],
        subscription=replace(
            PLAIN.subscription,
            ack=Ack(AckBy.ID, when=(Match("code", ("0",)),), id="id", accepted=Accepted("msg", separator=",")),
        ),
        rules=(
            ErrorRule(
                "refused",
                (Match("code", ("0",)), Match("msg", like=("Not Subscribed*",))),
                Severity.REFUSE,
                Scope.REQUEST,
                id="id",
                mentions="msg",
                reason="msg",
            ),
        ),
    )
    desk.open()
    return desk


def test_a_failure_in_a_success_code_refuses_what_it_mentions() -> None:
    """Only the channel that the text names, whole; the rest is still to be answered, and is, later."""
    desk = _sold()
    assert desk.frame(f'{{"id":1,"code":0,"msg":"Not Subscribed successfully! [{A}].  Reason： Blocked! "}}')
    assert [report["channel"] for report in desk.reports("channel_refused")] == [A]
    assert not desk.session.lines[0].subscriptions.settled
    assert desk.frame(f'{{"id":1,"code":0,"msg":"{B},trade:X"}}')
    assert desk.session.lines[0].subscriptions.settled
    assert len(desk.reports("channel_refused")) == 1


def test_a_symbol_alone_is_a_mention_too() -> None:
    """A word within a longer one is not."""
    desk = _sold()
    desk.frame('{"id":1,"code":0,"msg":"Not Subscribed: BTC-USDT-SWAP does not exist"}')
    assert [report["channel"] for report in desk.reports("channel_refused")] == [B]


def test_a_failure_that_names_nobody_refuses_the_whole_message() -> None:
    """There is nothing better to go by."""
    desk = _sold()
    desk.frame('{"id":1,"code":0,"msg":"Not Subscribed successfully!"}')
    assert len(desk.reports("channel_refused")) == 3


def test_a_partial_ack_refuses_the_rest() -> None:
    """The accepted ones stand in one text."""
    desk = _sold()
    desk.frame(f'{{"id":1,"code":0,"msg":"{A}, trade:X"}}')
    assert [report["channel"] for report in desk.reports("channel_refused")] == [B]


def test_a_list_in_a_text_is_one() -> None:
    """With its separator; without, a text is no list."""
    value = decode('{"msg":"a, b"}')
    assert accepted(Accepted("msg", separator=","), value) == {"a", "b"}
    assert accepted(Accepted("msg"), value) == set()


def test_acks_may_come_late_and_out_of_order() -> None:
    """Each finds its own message; what data has granted meanwhile is granted once."""
    channels = [f"trade:S{n}" for n in range(3)]
    desk = Desk(PLAIN, channels, subscription=replace(PLAIN.subscription, max_args=1))
    desk.open()
    desk.seen("trade:S1")
    desk.wait(9.0)
    for number in (3, 2, 1):
        assert desk.frame(f'{{"ok":1,"id":{number}}}')
    assert desk.session.lines[0].subscriptions.settled
    desk.wait(60.0)
    assert not desk.of(Close)


def test_an_ack_that_never_comes_costs_only_its_connection() -> None:
    """The channels of the other connection are left alone."""
    endpoint = replace(PLAIN.endpoints[0], max_channels=1)
    desk = Desk(PLAIN, ["trade:A", "trade:B"], endpoints=(endpoint,))
    desk.open()
    desk.frame('{"ok":1,"id":1}', 0)
    desk.wait(10.5)
    assert desk.of(Close) == [Close(1, "ack timeout")]


def test_a_handshake_refused_with_retry_after_is_waited_for() -> None:
    """By all connections: the venue counts the address."""
    endpoint = replace(PLAIN.endpoints[0], max_channels=1)
    desk = Desk(PLAIN, ["trade:A", "trade:B"], endpoints=(endpoint,))
    desk.start()
    desk.close(0, 0, "status 429", retry_after=40.0)
    desk.close(1, 0, "refused")
    desk.clear()
    desk.wait(39.0)
    assert not desk.actions
    desk.wait(2.0)
    assert desk.actions


@pytest.mark.parametrize(
    ("text", "channels", "key"),
    [
        ('{"id":"7","type":"subscribe","topic":"/market/match:A-B,C-D","response":true}', ("A-B", "C-D"), ""),
        ('{"id":"7","type":"subscribe","topic":"/other:A-B","response":true}', None, ""),
    ],
)
def test_topics_with_several_symbols_are_read_back(text: str, channels: tuple[str, ...] | None, key: str) -> None:
    """For whoever plays the venue."""
    read = command(TOKENS, text)
    if channels is None:
        assert read is None
    else:
        assert read is not None
        assert (read.number, read.key) == ("7", key)
        assert read.channels == tuple(f"/market/match:{symbol}" for symbol in channels)


def test_leaving_by_key_is_read_back() -> None:
    """The key stands for the channel, which only the venue knows."""
    read = command(KEYED, '{"event":"unsubscribe","chanId":11}')
    assert read is not None
    assert (read.operation.value, read.key, read.channels) == ("unsubscribe", "11", ())
