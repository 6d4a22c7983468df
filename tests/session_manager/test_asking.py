"""Requests over the socket: snapshots as if by REST, bounded, in time, again when they fail."""

from __future__ import annotations

from dataclasses import replace

from tests.session_manager.desk import Desk, Emit, Fetch
from tests.session_manager.made_up import ASKING

A, B, C = "book:A", "book:B", "book:C"
REP = '{"rep":"%s","status":"ok","id":"%d","data":{}}'


def _desk(*channels: str) -> Desk:
    desk = Desk(ASKING, list(channels))
    desk.open()
    desk.frame('{"ok":1,"id":1}')
    return desk


def _asked(desk: Desk) -> list[str]:
    return [text for text in desk.texts() if '"req"' in text]


def test_a_snapshot_is_asked_for_over_the_channels_own_connection() -> None:
    """When its first delta has come; the answer rides on the channel as it came, compressed as it may be."""
    desk = _desk(A)
    assert not _asked(desk)
    desk.seen(A)
    assert _asked(desk) == ['{"req":"book:A","id":"2"}']
    assert not desk.of(Fetch)
    assert desk.frame(REP % (A, 2), raw=b"\x1f\x8b as it came")
    assert [(emit.channel, emit.schema, emit.connection, emit.payload) for emit in desk.of(Emit)][1:] == [
        (A, "MBO", 0, b"\x1f\x8b as it came")
    ]


def test_an_answer_nobody_waits_for_is_unknown() -> None:
    """For another channel; a second one to the same number is known, and is no data any more."""
    desk = _desk(A)
    desk.seen(A)
    assert not desk.frame(REP % (B, 9))
    assert desk.frame(REP % (A, 2))
    assert desk.frame(REP % (A, 2))
    assert len(desk.payloads(A)) == 1


def test_a_resync_asks_again() -> None:
    """The same machinery as by REST: one in flight."""
    desk = _desk(A)
    desk.seen(A)
    assert not desk.resync(A)
    desk.frame(REP % (A, 2))
    assert desk.resync(A)
    assert not desk.resync(A)
    assert len(_asked(desk)) == 2
    desk.frame(REP % (A, 3))
    assert desk.resync(A)


def test_no_more_are_open_than_the_venue_takes() -> None:
    """Two at a time on a connection; the third follows the first answer."""
    desk = _desk(A, B, C)
    desk.seen(A, B, C)
    assert len(_asked(desk)) == 2
    desk.wait(1.0)
    assert len(_asked(desk)) == 2
    desk.frame(REP % (A, 2))
    assert _asked(desk)[2] == '{"req":"book:C","id":"4"}'


def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    """After its timeout, which is told; the late answer to the first is none any more by its number."""
    desk = Desk(replace(ASKING, requests=(replace(ASKING.requests[0], answer_channel="", id="id"),)), [A])
    desk.open()
    desk.frame('{"ok":1,"id":1}')
    desk.seen(A)
    desk.wait(5.1)
    assert desk.reports("request_failed")[0]["reason"] == "timeout"
    desk.wait(1.0)
    assert len(_asked(desk)) == 2
    assert not desk.payloads(A)
    desk.frame(REP % (A, 3))
    assert len(desk.payloads(A)) == 1


def test_a_failed_answer_is_asked_for_again() -> None:
    """By the request's own condition, and by a rule that finds the request's number."""
    desk = _desk(A)
    desk.seen(A)
    assert desk.frame('{"rep":"book:A","status":"error","id":"2"}')
    desk.wait(1.1)
    assert len(_asked(desk)) == 2
    assert desk.frame('{"err":"busy","id":"3"}')
    assert [report["reason"] for report in desk.reports("request_failed")] == ["says it failed", "busy"]
    desk.wait(2.1)
    assert len(_asked(desk)) == 3
    assert not desk.payloads(A)


def test_a_lost_connections_requests_die_with_it() -> None:
    """The next subscription asks for its own, over its own connection."""
    desk = _desk(A)
    desk.seen(A)
    desk.close(0)
    desk.wait(2.0)
    desk.connect(1)
    assert len(_asked(desk)) == 1
    desk.frame('{"ok":1,"id":3}', connection=1)
    desk.seen(A, connection=1)
    assert len(_asked(desk)) == 2
    assert desk.frame(REP % (A, 4), connection=1)
    assert desk.of(Emit)[-1].connection == 1
