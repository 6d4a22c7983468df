"""The emulator's FIX acceptor is strict: told by hand-made messages of simplefix, without a socket; and the FIX capture replays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import simplefix

from emulator.fix.acceptor import Acceptor, Rules, Seats
from emulator.fix.messages import timestamp
from emulator.venue import Act, Hang, Reply, Say, Subscribe, Unsubscribe
from emulator.venues.binance_fix import BinanceFixDialogue
from tapeline.captures import Kind, read_capture
from tapeline.spec.session import FixSession
from tests.fixtures import make_fix_capture

START = 1_767_225_600_000_000_000
SPEC = FixSession(sender="", target="VENUE", resend=False)
Pairs = Sequence[tuple[int, object]]


class Client:
    """A client whose messages are made by hand, on a clock that tests move."""

    def __init__(
        self, spec: FixSession = SPEC, seats: Seats | None = None, heartbeats: tuple[int, int] = (5, 60)
    ) -> None:
        self.now = START
        self.number = 0
        self.seats = seats or Seats()
        desk = BinanceFixDialogue({"AAAUSDT", "BBBUSDT"})
        self.acceptor = Acceptor(Rules(spec, lambda told: "", heartbeats), self.seats, desk, lambda: self.now)

    def message(self, kind: str, *pairs: tuple[int, object], **more: object) -> bytes:
        """A whole message under the next number."""
        self.number = int(str(more.get("number", self.number + 1)))
        made = simplefix.FixMessage()
        header = ((34, self.number), (49, more.get("sender", "US")), (56, more.get("target", "VENUE")))
        sent = more.get("sent", timestamp(self.now))
        for tag, value in ((8, "FIX.4.4"), (35, kind), *header, (52, sent), *pairs):
            made.append_pair(tag, value)
        return bytes(made.encode())

    def say(self, kind: str, *pairs: tuple[int, object], **more: object) -> list[Act]:
        """What the venue does."""
        return self.raw(self.message(kind, *pairs, **more))

    def raw(self, data: bytes) -> list[Act]:
        """Bytes as they are."""
        return [act for whole in self.acceptor.take(data) for act in self.acceptor.hear(whole, self.now)]

    def sent(self, acts: list[Act]) -> list[dict[int, str]]:
        """What goes out for these acts, read by simplefix."""
        parser = simplefix.FixParser()
        for act in acts:
            if isinstance(act, Say):
                parser.append_buffer(self.acceptor.put([act.payload]))
            elif isinstance(act, Hang):
                parser.append_buffer(self.acceptor.bye(act.reason))
        found = []
        while (told := parser.get_message()) is not None:
            assert told.encode() == told.encode(raw=True)
            found.append({int(tag): value.decode() for tag, value in told.pairs})
        return found

    def live(self) -> Client:
        """Logged on."""
        (answer,) = self.sent(self.say("A", *LOGON))
        assert answer[35] == "A"
        return self


LOGON: Pairs = ((98, 0), (108, 30), (141, "Y"))


def test_a_logon_is_answered_with_its_interval_under_number_one() -> None:
    """98, 108 and the server's id."""
    client = Client()
    (answer,) = client.sent(client.say("A", *LOGON))
    assert (answer[35], answer[34], answer[49], answer[56], answer[98], answer[108]) == (
        "A",
        "1",
        "VENUE",
        "US",
        "0",
        "30",
    )
    assert 25037 in answer


@pytest.mark.parametrize(
    ("pairs", "more", "tag"),
    [
        (((98, 1), (108, 30), (141, "Y")), {}, "98"),
        (((98, 0), (108, 4), (141, "Y")), {}, "108"),
        (((98, 0), (108, 61), (141, "Y")), {}, "108"),
        (((98, 0), (108, 30)), {}, "141"),
        (LOGON, {"number": 2}, "34"),
        (LOGON, {"target": "OTHER"}, "56"),
        (LOGON, {"sent": timestamp(START - 6_000_000_000)}, "52"),
        (LOGON, {"sent": timestamp(START + 2_000_000_000)}, "52"),
    ],
)
def test_a_wrong_logon_is_rejected_and_the_connection_closed(pairs: Pairs, more: dict[str, object], tag: str) -> None:
    """Each rule of its own; the reject names the tag."""
    client = Client()
    acts = client.say("A", *pairs, **more)
    (reject,) = client.sent(acts)
    assert (reject[35], reject[371]) == ("3", tag)
    assert isinstance(acts[-1], Hang)


def test_a_first_message_that_is_no_logon_is_rejected() -> None:
    """Nobody is heard before."""
    client = Client()
    assert client.sent(client.say("V", (262, "a")))[0][35] == "3"


def test_a_name_in_use_is_refused_and_one_left_without_logout_is_locked_for_a_while() -> None:
    """Twice the heartbeat; after a logout it is free at once."""
    seats = Seats()
    first = Client(seats=seats).live()
    assert Client(seats=seats).say("A", *LOGON)[0].payload.find(b"in use") > 0  # type: ignore[union-attr]
    first.acceptor.lost()
    assert b"in use" in Client(seats=seats).say("A", *LOGON)[0].payload  # type: ignore[union-attr]
    later = Client(seats=seats)
    later.now += 61_000_000_000
    later.live()
    later.sent(later.say("5"))
    later.acceptor.lost()
    again = Client(seats=seats)
    again.now = later.now
    again.live()


def test_damaged_messages_are_left_out_and_found_by_their_number() -> None:
    """A wrong CheckSum or BodyLength is no message; the next one is too high."""
    client = Client().live()
    bad = client.message("1", (112, "x"))
    assert client.raw(bad[:-2] + bytes([(bad[-2] - 48 + 1) % 10 + 48]) + b"\x01") == []
    acts = client.say("1", (112, "y"))
    assert [told[35] for told in client.sent(acts)] == ["3", "5"]


def test_a_number_too_high_is_asked_about_where_the_venue_resends() -> None:
    """Else it ends the session."""
    client = Client(replace(SPEC, resend=True)).live()
    (asked,) = client.sent(client.say("0", number=5))
    assert (asked[35], asked[7], asked[16]) == ("2", "2", "0")
    assert client.sent(client.say("4", (43, "Y"), (123, "Y"), (36, 6), number=2)) == []
    assert client.sent(client.say("1", (112, "z"), number=6))[0][112] == "z"


def test_a_number_too_low_ends_the_session_but_for_repeats() -> None:
    """43=Y is passed over."""
    client = Client().live()
    client.say("0")
    assert client.sent(client.say("0", (43, "Y"), number=2)) == []
    (logout,) = client.sent(client.say("0", number=2))
    assert logout[58] == "MsgSeqNum too low, expecting 3 but received 2"


def test_a_resend_request_is_filled_or_refused() -> None:
    """Market data is never repeated."""
    client = Client(replace(SPEC, resend=True)).live()
    (fill,) = client.sent(client.say("2", (7, 1), (16, 0)))
    assert (fill[35], fill[34], fill[43], fill[123], fill[36]) == ("4", "1", "Y", "Y", "2")
    refusing = Client().live()
    assert refusing.sent(refusing.say("2", (7, 1), (16, 0)))[0][35] == "3"


def test_silence_is_asked_about_and_then_ends_the_session() -> None:
    """Heartbeat of ours; a test request for the client's; logout."""
    client = Client().live()
    client.now += 31_000_000_000
    (asked,) = client.sent(client.acceptor.tick(client.now, 0.0))
    assert asked[35] == "1"
    client.now += 31_000_000_000
    (logout,) = client.sent(client.acceptor.tick(client.now, 0.0))
    assert logout[58] == "TestRequest unanswered"


def test_an_answered_test_request_keeps_the_session() -> None:
    """The same 112."""
    client = Client().live()
    client.now += 31_000_000_000
    (asked,) = client.sent(client.acceptor.tick(client.now, 0.0))
    client.say("0", (112, asked[112]))
    client.now += 29_000_000_000
    assert client.sent(client.acceptor.tick(client.now, 0.0)) == []


def test_a_logout_is_acknowledged() -> None:
    """And nothing is said after it."""
    client = Client().live()
    acts = client.say("5")
    (answer,) = client.sent(acts)
    assert answer[35] == "5"
    assert isinstance(acts[-1], Hang)


REQUEST: Pairs = ((263, 1), (264, 5000), (266, "Y"), (146, 1), (55, "AAAUSDT"), (267, 2), (269, 0), (269, 1))


def test_requests_become_subscriptions_and_their_stops_end_them() -> None:
    """Depth decides between ticker and book; trades are an entry type of their own."""
    client = Client().live()
    assert client.say("V", (262, "a"), *REQUEST) == [Subscribe("AAAUSDT-book", 5000)]
    top = ((263, 1), (264, 1), (146, 1), (55, "AAAUSDT"), (267, 2), (269, 1), (269, 0))
    assert client.say("V", (262, "b"), *top) == [Subscribe("AAAUSDT-top")]
    deals = ((263, 1), (264, 1), (146, 2), (55, "AAAUSDT"), (55, "BBBUSDT"), (267, 1), (269, 2))
    assert client.say("V", (262, "c"), *deals) == [Subscribe("AAAUSDT-trade"), Subscribe("BBBUSDT-trade")]
    assert client.say("V", (262, "c"), (263, 2)) == [Unsubscribe("AAAUSDT-trade"), Unsubscribe("BBBUSDT-trade")]


@pytest.mark.parametrize(
    ("second", "kind", "reason"),
    [
        (((262, "a"), *REQUEST), "Y", "1"),
        (((262, "b"), *REQUEST), "Y", "2"),
        (((262, "b"), (263, 1), (264, 5), (146, 1), (55, "NO"), (267, 1), (269, 2)), "3", None),
        (((262, "!"), *REQUEST), "3", None),
        (((262, "b"), (263, 1), (264, 5001), (146, 1), (55, "AAAUSDT"), (267, 2), (269, 0), (269, 1)), "3", None),
        (((262, "zz"), (263, 2)), "3", None),
    ],
)
def test_requests_that_cannot_be_are_refused(second: Pairs, kind: str, reason: str | None) -> None:
    """An id in use, a stream in use, an unknown symbol, a wrong id, a depth too deep, an unknown stop."""
    client = Client().live()
    client.say("V", (262, "a"), *REQUEST)
    (told,) = client.sent(client.say("V", *second))
    assert (told[35], told.get(281)) == (kind, reason)


def test_instruments_are_asked_for_over_the_session() -> None:
    """All of them, or one; not one that is not there."""
    client = Client().live()
    (ask,) = client.say("x", (320, "all"), (559, 4))
    assert isinstance(ask, Reply)
    assert ask.ask.number == "all"
    (one,) = client.say("x", (320, "i"), (559, 0), (55, "BBBUSDT"))
    assert isinstance(one, Reply)
    assert one.ask.symbol == "BBBUSDT"
    assert client.sent(client.say("x", (320, "i"), (559, 0), (55, "NO")))[0][35] == "3"


def test_an_id_of_the_clients_own_names_its_data() -> None:
    """The market writes its own; what goes out bears the client's."""
    desk = BinanceFixDialogue({"AAAUSDT"})
    client = Client()
    client.acceptor = Acceptor(Rules(SPEC, heartbeats=(5, 60)), Seats(), desk, lambda: client.now, desk.renamed)
    client.live().say("V", (262, "mine"), *REQUEST)
    (told,) = client.sent([Say(b"35=X\x01262=AAAUSDT-book\x01268=0\x01")])
    assert told[262] == "mine"


def test_the_committed_capture_is_what_the_script_makes() -> None:
    """Run the script again after a change of the market; nothing in it is written by hand."""
    made = [json.dumps(line["d"]) for line in make_fix_capture.record() if "d" in line]
    kept = [
        json.dumps(frame.data.decode())
        for frame in read_capture(make_fix_capture.PATH)
        if frame.kind is not Kind.CONNECT
    ]
    assert made == kept
    assert make_fix_capture.PATH.stat().st_size <= 30_000
