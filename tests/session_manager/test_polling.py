"""Channels that are asked for: cursors, pages, pace, budget, failures, silence, back-fill."""

from __future__ import annotations

import itertools
from dataclasses import replace

from tapeline.schemas import Schema
from tapeline.spec.routing import Match
from tapeline.spec.session import Request
from tests.session_manager.desk import Connect, Desk, Emit, Fetch
from tests.session_manager.made_up import BACKFILLED, POLLED

TRADES, DEPTH = "trades:A", "depth:A"


def _page(entries: int, last: str) -> bytes:
    return f'{{"trades":{[0] * entries},"last":"{last}"}}'.encode()


def test_a_polled_venue_has_no_connection() -> None:
    """What it answers rides on the channel as it came; that it answers is told once."""
    desk = Desk(POLLED, [TRADES, DEPTH])
    desk.take(desk.session.start(desk.now))
    desk.wait(1.0)
    assert not desk.of(Connect)
    assert [fetch.url for fetch in desk.of(Fetch)] == [
        "https://x.example/trades?pair=A&since=0",
        "https://x.example/depth?pair=A",
    ]
    desk.answer(desk.of(Fetch)[1].key, b'{"bids":[]}')
    desk.answer(desk.of(Fetch)[0].key, _page(1, "17"))
    assert [(emit.channel, emit.schema, emit.payload) for emit in desk.of(Emit)][1:] == [
        (DEPTH, "MBO", b'{"bids":[]}'),
        (TRADES, "TRADES", _page(1, "17")),
    ]
    assert desk.session_events() == [{"event": "up", "connection": 0, "reason": ""}]


def test_the_cursor_goes_on_from_the_last_answer() -> None:
    """One in flight; the next asks from where the last one ended, an interval later, give or take."""
    desk = Desk(POLLED, [TRADES])
    desk.take(desk.session.start(desk.now))
    for number, cursor in enumerate(("17", "20", "20", "31")):
        desk.wait(30.0)
        assert len(desk.of(Fetch)) == number + 1
        desk.answer(desk.of(Fetch)[number].key, _page(1, cursor))
        desk.wait(8.9)
        assert len(desk.of(Fetch)) == number + 1
        desk.wait(2.2)
        assert desk.of(Fetch)[number + 1].url.endswith(f"since={cursor}")


def test_a_full_page_is_followed_at_once_and_then_quickly() -> None:
    """What was cut off is asked for without delay; the pace slows down as pages grow thin."""
    desk = Desk(POLLED, [TRADES])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, _page(4, "1"))
    assert len(desk.of(Fetch)) == 2
    desk.answer(desk.of(Fetch)[1].key, _page(3, "2"))
    gaps = []
    for number in range(2, 12):
        began = desk.now
        while len(desk.of(Fetch)) == number:
            desk.wait(0.05)
        gaps.append(desk.now - began)
        desk.answer(desk.of(Fetch)[number].key, _page(1, str(number + 1)))
    assert gaps[0] <= 1.2
    assert all(earlier < later * 1.3 for earlier, later in itertools.pairwise(gaps))
    assert 8.9 <= gaps[-1] <= 11.1


def test_a_full_page_that_leads_nowhere_is_not_asked_for_in_a_circle() -> None:
    """A cursor that stays is waited with."""
    desk = Desk(POLLED, [TRADES])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, _page(4, "0"))
    assert len(desk.of(Fetch)) == 1
    desk.wait(1.2)
    assert len(desk.of(Fetch)) == 2


def test_polls_keep_the_budget() -> None:
    """Forty channels of two units each on ten units in ten seconds: five at a time."""
    desk = Desk(POLLED, [f"trades:S{n}" for n in range(40)])
    desk.take(desk.session.start(desk.now))
    desk.wait(9.9)
    assert len(desk.of(Fetch)) == 5
    desk.wait(10.0)
    assert len(desk.of(Fetch)) == 10


def test_failures_and_retry_after_hold_the_polls() -> None:
    """An error in a successful answer is one too; the cursor stays."""
    desk = Desk(POLLED, [TRADES, DEPTH])
    desk.take(desk.session.start(desk.now))
    desk.wait(1.0)
    desk.answer(desk.of(Fetch)[1].key, b'{"error":["EGeneral:Too many requests"]}')
    desk.answer(desk.of(Fetch)[0].key, status=429, retry_after=20.0)
    desk.wait(19.0)
    assert len(desk.of(Fetch)) == 2
    assert not desk.payloads(DEPTH)
    desk.wait(2.0)
    assert sorted(fetch.url[18:24] for fetch in desk.of(Fetch)[2:]) == ["depth?", "trades"]
    assert desk.of(Fetch)[-1].url.endswith(("since=0", "pair=A"))


def test_a_channel_that_is_not_answered_is_stale() -> None:
    """Each cadence without an answer is told."""
    desk = Desk(POLLED, [TRADES])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, _page(1, "1"))
    desk.wait(65.0)
    stale = [event for event in desk.session_events() if event["event"] == "stale"]
    assert [event["channel"] for event in stale] == [TRADES, TRADES]


def test_a_broken_answer_is_asked_for_again() -> None:
    """It is no payload, and the cursor stays."""
    desk = Desk(POLLED, [TRADES])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, b'{"trades":')
    desk.wait(1.1)
    assert desk.of(Fetch)[1].url.endswith("since=0")
    assert not desk.payloads(TRADES)


def test_polls_are_taken_on_and_given_up() -> None:
    """At any time; an answer to what was given up is ignored."""
    desk = Desk(POLLED, [TRADES])
    desk.take(desk.session.start(desk.now))
    desk.take(desk.session.reconcile(desk.now, [DEPTH]))
    desk.answer(desk.of(Fetch)[0].key, _page(1, "1"))
    assert not desk.payloads(TRADES)
    assert [fetch.url[18:23] for fetch in desk.of(Fetch)[1:]] == ["depth"]
    desk.take(desk.session.stop(desk.now))
    assert desk.session.stopped


def _backfilled(channel: str) -> Desk:
    desk = Desk(BACKFILLED, [channel])
    desk.open()
    desk.frame('{"ok":1,"id":1}')
    desk.seen(channel)
    return desk


def test_nothing_is_filled_in_at_the_start() -> None:
    """There is no place to begin from."""
    desk = _backfilled("logs:A")
    assert not desk.of(Fetch)


def test_what_was_missed_is_asked_for_from_before_the_loss() -> None:
    """The cursor is that of before the new subscription, however far its data have come since."""
    desk = _backfilled("logs:A")
    desk.cursors["logs:A"] = "0x10"
    desk.close(0)
    desk.wait(1.0)
    desk.connect(1)
    desk.cursors["logs:A"] = "0x20"
    desk.seen("logs:A", connection=1)
    assert [fetch.url for fetch in desk.of(Fetch)] == ["https://x.example/logs?pool=A&from=0x10"]
    desk.answer(desk.of(Fetch)[0].key, b'{"result":[1]}')
    assert desk.payloads("logs:A") == [b'{"result":[1]}']
    assert desk.of(Emit)[-1].connection == 1


def test_a_second_loss_does_not_forget_what_the_first_owes() -> None:
    """Until it was answered, the older place counts."""
    desk = _backfilled("logs:A")
    desk.cursors["logs:A"] = "0x10"
    for connection in (1, 2):
        desk.close(connection - 1)
        desk.wait(5.0)
        desk.connect(connection)
        desk.seen("logs:A", connection=connection)
        desk.cursors["logs:A"] = "0x20"
    assert [fetch.url[-4:] for fetch in desk.of(Fetch)] == ["0x10", "0x10"]
    desk.answer(desk.of(Fetch)[1].key, b"[]")
    desk.close(2)
    desk.wait(5.0)
    desk.connect(3)
    desk.seen("logs:A", connection=3)
    assert desk.of(Fetch)[2].url[-4:] == "0x20"


def test_what_was_missed_may_be_asked_for_over_the_socket() -> None:
    """By the request's number."""
    desk = _backfilled("swaps:A")
    desk.cursors["swaps:A"] = "0x10"
    desk.close(0)
    desk.wait(1.0)
    desk.connect(1)
    desk.frame('{"ok":1,"id":2}', 1)
    assert desk.texts()[-1] == '{"id":3,"method":"getLogs","params":["A","0x10"]}'
    assert desk.frame('{"id":3,"result":[]}', 1)
    assert desk.payloads("swaps:A") == [b'{"id":3,"result":[]}']


def test_what_was_missed_is_asked_for_in_parts_and_smaller_ones_where_these_are_refused() -> None:
    """From the old place to what has come by itself since; a refused part is halved, after a while, and the rest follows."""
    families = tuple(replace(family, backfill_span=100) for family in BACKFILLED.families)
    url = "https://x.example/logs?from=${cursor}&to=${until}"
    asked = replace(BACKFILLED.requests[0], url=url, failed=(Match("error"),))
    desk = Desk(BACKFILLED, ["logs:A"], families=families, requests=(asked, BACKFILLED.requests[1]))
    desk.open()
    desk.frame('{"ok":1,"id":1}')
    desk.seen("logs:A")
    desk.cursors["logs:A"] = hex(1000)
    desk.close(0)
    desk.wait(1.0)
    desk.connect(1)
    desk.cursors["logs:A"] = hex(1150)
    desk.seen("logs:A", connection=1)
    parts = []
    for body in (b'{"error":"more than 10000"}', b"[1]", b"[2]", b"[3]"):
        desk.wait(1.0)
        fetch = desk.of(Fetch)[-1]
        parts.append(fetch.url.partition("?")[2])
        desk.answer(fetch.key, body)
    desk.wait(60.0)
    spans = [(1000, 1099), (1000, 1049), (1050, 1149)]
    assert parts == [*(f"from={first:#x}&to={last:#x}" for first, last in spans), f"from={1150:#x}&to=latest"]
    assert desk.payloads("logs:A") == [b"[1]", b"[2]", b"[3]"]
    assert len(desk.of(Fetch)) == 4


def test_a_dear_request_is_not_passed_by_cheap_ones_for_ever() -> None:
    """Requests are made in the order in which they came due: one that needs nearly all of the budget has its turn."""
    dear = Request("dear", "https://x.example/dear", Schema.DEFINITION, channel="dear", cost=9)
    cheap = [f"depth:S{n}" for n in range(30)]
    desk = Desk(POLLED, cheap, requests=(*POLLED.requests, dear))
    desk.take(desk.session.start(desk.now))
    answered = 0
    for turn in range(800):
        if turn == 150:
            desk.take(desk.session.reconcile(desk.now, [*cheap, "dear"]))
        # A few at a time, so that units become free one by one.
        for fetch in desk.of(Fetch)[answered : answered + 1]:
            desk.answer(fetch.key, b"{}")
            answered += 1
        desk.wait(0.1)
    asked = [place for place, fetch in enumerate(desk.of(Fetch)) if "dear" in fetch.url]
    assert len(asked) == 1
    assert len(desk.of(Fetch)) > asked[0] + 1
