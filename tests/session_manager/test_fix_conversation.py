"""A FIX session's rules, one by one, on a clock that does not run."""

import json
from dataclasses import replace

import pytest

from session_manager.fix.acts import Beat, Deliver, End, Hole, Note, Ready, Tell
from session_manager.fix.conversation import Stage
from session_manager.fix.numbers import Numbers
from tests.session_manager.fix_peer import CLOCK, SPEC, Desk, frame, kinds, sent


def test_a_session_begins_with_a_logon_that_resets_numbers() -> None:
    """98, 108, 141 and what the spec adds, under number 1."""
    (logon,) = sent(Desk().begin())
    assert (logon[35], logon[34], logon[49], logon[56]) == ("A", "1", "US", "VENUE")
    assert (logon[98], logon[108], logon[141], logon[553], logon[554]) == ("0", "30", "Y", "name", "word")
    assert logon[52] == "20231114-22:13:20.000"


def test_a_signed_logon_bears_the_time_that_was_signed() -> None:
    """Variables fill the templates; SendingTime is the signer's."""
    spec = replace(SPEC, sender="${sender}", logon=((95, "${signature_length}"), (96, "${signature}")))
    desk = Desk(spec, sender="X1", signature="c2ln", signature_length="4", sending_time="20240612-08:52:21.613")
    (logon,) = sent(desk.begin())
    assert (logon[49], logon[95], logon[96], logon[52]) == ("X1", "4", "c2ln", "20240612-08:52:21.613")


def test_nothing_is_sent_before_the_logon_is_answered() -> None:
    """A request before it is not sent; after it, it is."""
    desk = Desk()
    desk.begin()
    assert desk.talk.send(desk.now, desk.clock, "35=V|262=a|263=1") == []
    assert Ready() in desk.hear("A", 1, (98, 0), (108, 30))
    assert kinds(desk.talk.send(desk.now, desk.clock, "35=V|262=a|263=1\n35=1|112=7")) == ["V", "1"]


@pytest.mark.parametrize("kind", ["3", "5"])
def test_a_refused_logon_says_why(kind: str) -> None:
    """A Reject or Logout in place of the Logon ends the attempt with the venue's text."""
    desk = Desk()
    desk.begin()
    assert desk.hear(kind, 1, (58, "bad key")) == [End("logon refused: bad key", refused=True)]


def test_anything_else_before_the_logon_ends_the_attempt() -> None:
    """Data before the Logon is no session."""
    desk = Desk()
    desk.begin()
    acts = desk.hear("X", 1, (268, 0))
    assert kinds(acts) == ["5"]
    assert End("no logon", refused=True) in acts


def test_the_next_message_is_handed_on_the_quick_way() -> None:
    """Application messages in their order need no more than a look; session messages always do."""
    desk = Desk().live()
    assert desk.plain("X", 2, (262, "a"), (268, 0))
    assert not desk.plain("X", 2, (262, "a"), (268, 0))
    assert not desk.plain("0", 3)
    assert not desk.plain("X", 3, (268, 0), sender="OTHER")
    assert not desk.plain("X", 3, (43, "Y"), (268, 0))
    assert desk.plain("W", 3, (268, 0))


def test_a_heartbeat_goes_out_when_nothing_else_has_for_so_long() -> None:
    """One HeartBtInt after the last message of ours."""
    desk = Desk().live()
    assert desk.tick(29.9) == []
    assert kinds(desk.tick(0.2)) == ["0"]
    desk.hear("0", 2)
    desk.talk.send(desk.now, desk.clock, "35=V|262=a|263=2")
    assert kinds(desk.tick(29.9)) == []


def test_the_venues_interval_counts_where_it_gives_another() -> None:
    """108 of the answer."""
    desk = Desk()
    desk.begin()
    desk.hear("A", 1, (98, 0), (108, 5))
    assert kinds(desk.tick(5.1)) == ["0"]


def test_a_test_request_is_answered_with_its_id() -> None:
    """112 comes back."""
    acts = Desk().live().hear("1", 2, (112, "are you there"))
    (answer,) = sent(acts)
    assert (answer[35], answer[112]) == ("0", "are you there")
    assert Beat(answer=False) in acts


def test_silence_is_asked_about_and_then_ends_the_session() -> None:
    """A test request after an interval and a fifth; without its answer a logout an interval later."""
    desk = Desk().live()
    asked = desk.tick(36.1)
    assert kinds(asked) == ["1"]
    assert "1" not in kinds(desk.tick(29.0))
    acts = desk.tick(1.1)
    assert kinds(acts) == ["5"]
    assert End("test request unanswered") in acts


def test_only_the_right_answer_to_a_test_request_counts() -> None:
    """Its own 112 ends the wait; another's is told, as the answer to a request's own test."""
    desk = Desk().live()
    (asked,) = sent(desk.tick(36.1))
    other = desk.hear("0", 2, (112, "17"))
    assert other == [Tell(b'{"35":"0","112":"17"}')]
    assert desk.hear("0", 3, (112, asked[112])) == [Beat(answer=True)]
    assert End("test request unanswered") not in desk.tick(30.0)


def test_a_logout_is_answered_and_ends_the_session() -> None:
    """The venue's text is the reason."""
    acts = Desk().live().hear("5", 2, (58, "end of day"))
    assert kinds(acts) == ["5"]
    assert acts[-1] == End("logout: end of day")


def test_our_logout_waits_for_its_answer_but_not_for_ever() -> None:
    """Either ends it."""
    desk = Desk().live()
    assert kinds(desk.talk.leave(desk.now, desk.clock)) == ["5"]
    assert desk.talk.stage is Stage.LEAVING
    assert desk.hear("5", 2) == [End("logout")]
    desk = Desk().live()
    desk.talk.leave(desk.now, desk.clock)
    assert desk.tick(2.1) == [End("logout unanswered")]


def test_a_number_too_high_is_asked_about_and_its_message_handed_on_at_once() -> None:
    """7 and 16 name exactly what is missing."""
    desk = Desk().live()
    acts = desk.hear("X", 5, (262, "a"), (268, 0))
    (asked,) = sent(acts)
    assert (asked[35], asked[7], asked[16]) == ("2", "2", "4")
    assert any(isinstance(act, Deliver) for act in acts)
    assert any(isinstance(act, Note) and act.name == "fix_hole" for act in acts)
    assert not any(isinstance(act, Hole) for act in acts)


def test_a_gap_fill_closes_the_hole_and_says_that_books_are_to_be_asked_for_anew() -> None:
    """123=Y with 36; messages after it go the quick way again."""
    desk = Desk().live()
    desk.hear("X", 5, (268, 0))
    assert not desk.plain("X", 6, (268, 0))
    acts = desk.hear("4", 2, (43, "Y"), (123, "Y"), (36, 5))
    assert Hole(2, 4) in acts
    assert desk.plain("X", 6, (268, 0))


def test_repeats_fill_the_hole_one_by_one_and_are_handed_on() -> None:
    """43=Y within the hole is data that comes late; once all has come the books are asked for anew."""
    desk = Desk().live()
    desk.hear("X", 4, (268, 0))
    first = desk.hear("X", 2, (43, "Y"), (268, 0))
    assert [type(act) for act in first] == [Deliver]
    last = desk.hear("X", 3, (43, "Y"), (268, 0))
    assert Hole(2, 3) in last
    assert any(isinstance(act, Deliver) for act in last)


def test_a_repeat_of_what_has_come_is_left_out() -> None:
    """43=Y below the expected number."""
    desk = Desk().live()
    desk.plain("X", 2, (268, 0))
    assert [type(act) for act in desk.hear("X", 2, (43, "Y"), (268, 0))] == [Note]


def test_a_number_too_low_without_the_flag_ends_the_session() -> None:
    """Both sides have lost count."""
    desk = Desk().live()
    desk.plain("X", 2, (268, 0))
    acts = desk.hear("X", 2, (268, 0))
    (logout,) = sent(acts)
    assert logout[58] == "MsgSeqNum too low, expecting 3 but received 2"
    assert End(logout[58]) in acts


def test_a_hole_ends_the_session_where_the_venue_does_not_resend() -> None:
    """As Binance: logout and a new session."""
    desk = Desk(replace(SPEC, resend=False)).live()
    acts = desk.hear("X", 5, (268, 0))
    assert kinds(acts) == ["5"]
    assert End("messages 2 to 4 are missing") in acts
    assert not any(isinstance(act, Deliver) for act in acts)


def test_an_unanswered_resend_request_ends_the_session() -> None:
    """Two intervals are enough."""
    desk = Desk().live()
    desk.hear("X", 5, (268, 0))
    for number in (6, 7):
        desk.tick(29.0)
        desk.hear("0", number)
    acts = desk.tick(3.0)
    assert End("resend request unanswered") in acts


def test_a_second_hole_within_the_first_is_one_to_the_books() -> None:
    """All of what was missing is told at the end."""
    desk = Desk().live()
    desk.hear("X", 3, (268, 0))
    desk.hear("X", 6, (268, 0))
    assert not any(isinstance(act, Hole) for act in desk.hear("4", 2, (43, "Y"), (123, "Y"), (36, 3)))
    assert Hole(2, 5) in desk.hear("4", 4, (43, "Y"), (123, "Y"), (36, 6))


def test_a_gap_fill_may_run_ahead_of_all_that_was_received() -> None:
    """36 beyond the next number moves it."""
    desk = Desk().live()
    desk.hear("4", 2, (123, "Y"), (36, 10))
    assert desk.plain("X", 10, (268, 0))


def test_a_sequence_reset_counts_whatever_its_own_number_is() -> None:
    """Without 123; backwards it is rejected."""
    desk = Desk().live()
    acts = desk.hear("4", 77, (36, 40))
    assert Hole(2, 39) in acts
    assert desk.plain("X", 40, (268, 0))
    (reject,) = sent(desk.hear("4", 41, (36, 3)))
    assert (reject[35], reject[373]) == ("3", "5")


@pytest.mark.parametrize("pairs", [((123, "Y"), (36, 2)), ((123, "Y"),)])
def test_a_gap_fill_that_leads_nowhere_is_rejected(pairs: tuple[tuple[int, object], ...]) -> None:
    """36 must be there and above 34."""
    assert kinds(Desk().live().hear("4", 2, *pairs)) == ["3"]


def test_a_resend_request_is_answered_by_a_gap_fill() -> None:
    """Of our messages none is worth repeating."""
    desk = Desk().live()
    desk.talk.send(desk.now, desk.clock, "35=V|262=a|263=1")
    (fill,) = sent(desk.hear("2", 2, (7, 1), (16, 0)))
    assert (fill[35], fill[34], fill[43], fill[123], fill[36]) == ("4", "1", "Y", "Y", "3")
    assert 122 in fill


def test_a_resend_request_is_answered_though_it_leaves_a_hole() -> None:
    """Else both sides would wait for each other."""
    assert kinds(Desk().live().hear("2", 4, (7, 1), (16, 0))) == ["4", "2"]


def test_a_logout_counts_though_it_leaves_a_hole() -> None:
    """There is nothing to be asked any more."""
    acts = Desk().live().hear("5", 9)
    assert kinds(acts) == ["5"]
    assert acts[-1] == End("logout")


@pytest.mark.parametrize(("sender", "target"), [("OTHER", "US"), ("VENUE", "OTHER")])
def test_a_message_of_another_session_is_rejected_and_ends_this_one(sender: str, target: str) -> None:
    """CompIDs are the session's name."""
    acts = Desk().live().hear("X", 2, (268, 0), sender=sender, target=target)
    assert [(told[35], told.get(373)) for told in sent(acts)] == [("3", "9"), ("5", None)]


def test_a_message_without_a_number_ends_the_session() -> None:
    """34 is what holds a session together."""
    desk = Desk().live()
    acts = desk.talk.frame(desk.now, desk.clock, frame("X", 2, (268, 0))._replace(number=-1))
    assert End("MsgSeqNum missing") in acts


def test_a_reject_tells_what_its_message_asked_for() -> None:
    """45 leads to the request's id, which the venue does not repeat."""
    desk = Desk().live()
    (asked,) = sent(desk.talk.send(desk.now, desk.clock, "35=V|262=BAD-book|263=1|264=0"))
    (told,) = desk.hear("3", 2, (45, asked[34]), (372, "V"), (58, "Invalid symbol."))
    assert isinstance(told, Tell)
    value = json.loads(told.payload)
    assert (value["35"], value["262"], value["58"]) == ("3", "BAD-book", "Invalid symbol.")


def test_a_business_reject_is_told_as_well() -> None:
    """A BusinessMessageReject of an unknown message names nothing."""
    (told,) = Desk().live().hear("j", 2, (45, 99), (380, 3), (58, "unsupported"))
    assert isinstance(told, Tell)
    assert "262" not in json.loads(told.payload)


def test_news_goes_to_the_session_logic_as_it_came() -> None:
    """B is an application message like any other."""
    assert Desk().live().plain("B", 2, (148, "Please reconnect."))


def test_numbers_go_on_over_connections_where_they_are_not_reset() -> None:
    """The second logon asks for no reset and bears the next number; so does the venue's."""
    spec, numbers = replace(SPEC, reset=False), Numbers()
    first = Desk(spec, numbers)
    assert 141 in sent(first.begin())[0]
    first.hear("A", 1, (98, 0), (108, 30))
    first.plain("X", 2, (268, 0))
    second = Desk(spec, numbers)
    (logon,) = sent(second.begin())
    assert (logon[34], logon.get(141)) == ("2", None)
    assert Ready() in second.hear("A", 3, (98, 0), (108, 30))


def test_a_logon_whose_number_is_too_high_is_taken_and_the_hole_asked_for() -> None:
    """What the venue sent while nobody was there."""
    spec, numbers = replace(SPEC, reset=False), Numbers(outgoing=5, expected=7)
    desk = Desk(spec, numbers)
    desk.begin()
    acts = desk.hear("A", 9, (98, 0), (108, 30))
    assert acts[0] == Ready()
    (asked,) = sent(acts)
    assert (asked[7], asked[16]) == ("7", "8")


def test_a_logon_whose_number_is_too_low_is_refused() -> None:
    """The venue has begun anew without saying so."""
    desk = Desk(replace(SPEC, reset=False), Numbers(outgoing=5, expected=7))
    desk.begin()
    acts = desk.hear("A", 1, (98, 0), (108, 30))
    assert End("MsgSeqNum too low, expecting 7 but received 1", refused=True) in acts


def test_the_days_end_ends_the_session_and_its_numbers() -> None:
    """The schedule is a time of day in UTC; the clock is the wall's."""
    # CLOCK is 22:13:20.
    spec, numbers = replace(SPEC, reset=False, schedule="22:14"), Numbers()
    desk = Desk(spec, numbers).live()
    assert desk.talk.deadline(desk.now, CLOCK) <= desk.now + 40.0
    desk.tick(29.0)
    desk.hear("0", 2)
    acts = desk.tick(12.0)
    assert kinds(acts) == ["5"]
    assert End("scheduled reset") in acts
    assert (numbers.outgoing, numbers.expected) == (1, 1)


def test_deadlines_lead_to_every_tick_that_matters() -> None:
    """A shell that only wakes at deadlines misses nothing."""
    desk = Desk().live()
    seen: list[str] = []
    for _ in range(20):
        at = desk.talk.deadline(desk.now, desk.clock)
        if at == float("inf"):
            break
        seen += kinds(desk.tick(max(at - desk.now, 0.0)))
    assert seen == ["0", "1", "5"]
