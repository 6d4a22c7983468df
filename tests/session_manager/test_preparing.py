"""What comes before a connection: tokens by HTTP, their rotation, signers, what the venue tells of its heartbeat."""

from __future__ import annotations

import pytest

from session_manager.session.venue import VenueSession
from session_manager.signing import Signing, load
from tapeline.errors import SpecIncompleteError, VenueError
from tapeline.spec.session import Budget, Endpoint, Lifetime, Prepare, Reconnect
from tests.session_manager.desk import Close, Connect, Desk, Fetch, Sign
from tests.session_manager.made_up import PLAIN, TOKENS, bullet

MATCH = "/market/match:A"


def _open(desk: Desk, **told: object) -> int:
    """Through handshake and welcome; the connection."""
    desk.start(bullet(**told))  # type: ignore[arg-type]  # as bullet takes them
    connection = desk.of(Connect)[-1].connection
    desk.connect(connection)
    desk.frame('{"id":"x","type":"welcome"}', connection)
    return connection


def test_a_token_is_fetched_before_the_connect() -> None:
    """The address is made of what the venue has given, encoded where it stands in the query, and of a new nonce."""
    desk = Desk(TOKENS, [MATCH])
    desk.take(desk.session.start(desk.now))
    assert [(fetch.method.value, fetch.url) for fetch in desk.of(Fetch)] == [
        ("POST", "https://api.example/bullet-public")
    ]
    assert not desk.of(Connect)
    desk.answer(desk.of(Fetch)[0].key, bullet("a+b&c=="))
    url = desk.of(Connect)[0].url
    assert url.startswith("wss://push.example/endpoint?token=a%2Bb%26c%3D%3D&connectId=")
    assert dict(desk.of(Connect)[0].variables)["token"] == "a+b&c=="


def test_every_attempt_has_its_own_token_and_nonce() -> None:
    """A lost connection is made anew from the handshake on."""
    desk = Desk(TOKENS, [MATCH])
    first = _open(desk)
    desk.close(first)
    desk.wait(2.0)
    assert len(desk.of(Fetch)) == 2
    desk.answer(desk.of(Fetch)[1].key, bullet("t2"))
    urls = [connect.url for connect in desk.of(Connect)]
    assert "token=t2" in urls[1]
    assert urls[0].rpartition("=")[2] != urls[1].rpartition("=")[2]


@pytest.mark.parametrize(
    "body", [b'{"code":"429000","msg":"busy"}', b"no JSON", b'{"code":"200000","data":{"token":null}}']
)
def test_a_failed_handshake_is_tried_again_with_back_off(body: bytes) -> None:
    """Whatever the failure: told, and made again later and later."""
    desk = Desk(TOKENS, [MATCH])
    desk.take(desk.session.start(desk.now))
    waits = []
    for number in range(4):
        began = desk.now
        desk.answer(desk.of(Fetch)[number].key, body)
        while len(desk.of(Fetch)) == number + 1:
            desk.wait(0.05)
        waits.append(desk.now - began)
    assert not desk.of(Connect)
    assert len(desk.reports("connection_lost")) == 4
    assert all(bound / 4 <= wait <= bound + 0.1 for wait, bound in zip(waits, (1, 2, 4, 8), strict=True))
    desk.answer(desk.of(Fetch)[-1].key, bullet())
    assert desk.of(Connect)


def test_a_handshake_that_is_told_to_wait_waits() -> None:
    """`Retry-After` of the handshake holds requests and attempts."""
    desk = Desk(TOKENS, [MATCH])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, status=429, retry_after=30.0)
    desk.wait(29.0)
    assert len(desk.of(Fetch)) == 1
    desk.wait(1.5)
    assert len(desk.of(Fetch)) == 2


def test_handshakes_keep_the_budget_of_attempts() -> None:
    """A venue that bears three attempts a minute is asked for three tokens."""
    desk = Desk(TOKENS, [MATCH], reconnect=Reconnect(first=0.01, longest=0.01, budget=Budget(3, 60.0)))
    desk.take(desk.session.start(desk.now))
    for _ in range(40):
        for fetch in desk.of(Fetch):
            desk.answer(fetch.key, status=500)
        desk.wait(1.0)
    assert len(desk.of(Fetch)) == 3
    desk.wait(30.0)
    assert len(desk.of(Fetch)) > 3


def test_a_handshake_that_never_ends_is_given_up() -> None:
    """An answer that never comes, not even as a failure, does not hold the connection for ever."""
    desk = Desk(TOKENS, [MATCH])
    desk.take(desk.session.start(desk.now))
    desk.wait(61.0)
    assert desk.reports("connection_lost")[0]["reason"] == "prepare timeout"
    desk.wait(2.0)
    assert len(desk.of(Fetch)) == 2


def test_nothing_is_subscribed_before_the_welcome() -> None:
    """The gate holds, and the topic's symbols are read back from one text."""
    desk = Desk(TOKENS, [MATCH, "/market/match:B"])
    desk.start(bullet())
    desk.connect(0)
    assert not desk.texts()
    desk.frame('{"id":"x","type":"welcome"}')
    assert desk.texts() == ['{"id":"1","type":"subscribe","topic":"/market/match:A,B","response":true}']
    assert desk.commands()[0].channels == (MATCH, "/market/match:B")


def test_the_venue_says_how_often_it_is_pinged() -> None:
    """Interval and patience come from the handshake, in its own unit."""
    desk = Desk(TOKENS, [MATCH])
    connection = _open(desk, interval=50_000, patience=4_000)
    desk.seen(MATCH)
    desk.wait(49.0)
    assert len(desk.texts()) == 1
    desk.wait(2.0)
    assert desk.texts()[-1] == '{"id":"2","type":"ping"}'
    desk.wait(2.0)
    assert not desk.of(Close)
    desk.wait(2.0)
    assert desk.of(Close) == [Close(connection, "pong timeout")]


def test_a_token_is_replaced_before_it_ends() -> None:
    """A token of thirty seconds: a new one, a second connection subscribed and flowing, only then the first is closed; for ever."""
    desk = Desk(TOKENS, [MATCH], lifetime=Lifetime(overlap=10.0))
    old = _open(desk, ttl=30)
    desk.frame('{"id":"1","type":"ack"}', old)
    for turn in range(2, 6):
        desk.seen(MATCH, connection=old)
        born = desk.now
        while len(desk.of(Fetch)) < turn:
            desk.frame('{"type":"pong"}', old)
            desk.seen(MATCH, connection=old)
            desk.wait(0.5)
            assert desk.now - born <= 20.6
        desk.answer(desk.of(Fetch)[-1].key, bullet(f"t{turn}", ttl=30))
        heir = desk.of(Connect)[-1].connection
        assert f"token=t{turn}" in desk.of(Connect)[-1].url
        desk.connect(heir)
        desk.frame('{"id":"x","type":"welcome"}', heir)
        desk.frame('{"id":"1","type":"ack"}', heir)
        # The old one's data are not the heir's.
        desk.seen(MATCH, connection=old)
        assert Close(old, "rotated") not in desk.of(Close)
        desk.seen(MATCH, connection=heir)
        desk.drain(old)
        assert Close(old, "rotated") in desk.of(Close)
        assert [line.connection for line in desk.session.lines] == [heir]
        old = heir
    assert not desk.reports("connection_lost")


def test_a_connection_whose_token_ended_before_its_heir_stood_is_not_made_twice() -> None:
    """The heir is the connection then."""
    desk = Desk(TOKENS, [MATCH], lifetime=Lifetime(overlap=10.0))
    old = _open(desk, ttl=30)
    desk.frame('{"id":"1","type":"ack"}', old)
    desk.seen(MATCH, connection=old)
    desk.frame('{"type":"pong"}', old)
    desk.wait(17.0)
    desk.seen(MATCH, connection=old)
    desk.wait(4.0)
    desk.close(old, 1000, "token expired")
    desk.wait(5.0)
    assert len(desk.of(Fetch)) == 2
    desk.answer(desk.of(Fetch)[1].key, bullet("t2", ttl=30))
    assert len(desk.of(Connect)) == 2
    assert len(desk.session.lines) == 1
    assert desk.session.reconnects == 1


SIGNED = Endpoint(
    "public",
    "wss://plain.example/ws?key=${key_id}&token=${token}",
    headers=(("X-Signature", "${signature}"),),
    signer="of_the_test",
    prepare=Prepare("https://plain.example/token", (("token", "token"),), headers=(("Sign", "${signature}"),)),
)


def test_a_signers_variables_are_there_for_all_that_follows() -> None:
    """Handshake and address may use them; without them there is neither."""
    desk = Desk(PLAIN, ["trade:A"], endpoints=(SIGNED,))
    desk.take(desk.session.start(desk.now))
    sign = desk.of(Sign)[0]
    assert (sign.signer, sign.endpoint) == ("of_the_test", "public")
    assert not desk.of(Fetch)
    desk.take(desk.session.signed(desk.now, sign.connection, {"signature": "s1", "key_id": "k"}))
    assert desk.of(Fetch)[0].headers == (("Sign", "s1"),)
    desk.answer(desk.of(Fetch)[0].key, b'{"token":"t"}')
    assert desk.of(Connect)[0].headers == (("X-Signature", "s1"),)
    assert desk.of(Connect)[0].url == "wss://plain.example/ws?key=k&token=t"


def test_a_signer_that_cannot_is_asked_again_later() -> None:
    """A missing secret costs the attempt, not the process."""
    desk = Desk(PLAIN, ["trade:A"], endpoints=(SIGNED,))
    desk.take(desk.session.start(desk.now))
    session: VenueSession = desk.session
    desk.take(session.unsigned(desk.now, desk.of(Sign)[0].connection, "no secret"))
    assert desk.reports("connection_lost")[0]["reason"] == "not signed: no secret"
    desk.wait(1.0)
    assert len(desk.of(Sign)) == 2


def test_signers_are_found_by_name() -> None:
    """One that is not there is refused; a secret that is not set is told by its name."""
    with pytest.raises(SpecIncompleteError, match="no signer 'nobody'"):
        load("nobody")
    signing = Signing("kraken", "public", "n", 1, environment={"VENUE_SECRET_KRAKEN_KEY": "k"})
    assert signing.secret("key") == "k"
    with pytest.raises(VenueError, match="VENUE_SECRET_KRAKEN_PRIVATE is not set"):
        signing.secret("private")
