"""The venue's side of a FIX session: logon, numbers, heartbeats, logout, strictly by the rules; carrier and conversation in one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulator.faults import CONNECTION_FAULTS
from emulator.fix.messages import Reader, body, instant, stripped, timestamp, written
from emulator.venue import Act, Dialogue, Hang, Say
from tapeline.spec.session import FixSession

if TYPE_CHECKING:
    from emulator.faults import Command

_SECOND_NS = 1_000_000_000
_NEVER = 1 << 63
_RECV_WINDOW, _LONGEST_WINDOW = 5000.0, 60_000.0
_TAG_MISSING, _VALUE, _SIGNATURE, _COMP_ID, _SENDING_TIME, _TYPE = 1, 5, 8, 9, 10, 11
_GOODBYE = 1000
_NEWS = "You'll be disconnected in %d seconds. Please reconnect."
_LAST_NEWS = "Your connection is about to be closed. Please reconnect."

CONNECTION_FAULTS.update(
    {
        "fix_ahead": "FIX: skips `count` message numbers",
        "fix_behind": "FIX: gives the next message the number of the last one",
        "fix_garble": "FIX: sends the next `count` messages with a wrong CheckSum",
        "fix_logout": "FIX: logs the client out with `reason`",
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an acceptor insists on; `signed` says what is wrong with a logon's signature (empty: nothing)."""

    spec: FixSession
    signed: Callable[[dict[int, str]], str] = lambda told: ""
    heartbeats: tuple[int, int] = (1, 60)


@dataclass(slots=True)
class Seats:
    """SenderCompIDs in use, and until when (ns) those are locked whose session ended without a logout."""

    taken: set[str] = field(default_factory=set)
    locked: dict[str, int] = field(default_factory=dict)

    def free(self, sender: str, now_ns: int) -> bool:
        """Whether a session may begin."""
        return sender not in self.taken and self.locked.get(sender, 0) <= now_ns


class Acceptor:
    """One session. Application messages are left to `desk`; `renamed` replaces what the market writes by what the client gave."""

    def __init__(
        self,
        rules: Rules,
        seats: Seats,
        desk: Dialogue,
        clock: Callable[[], int],
        renamed: dict[bytes, bytes] | None = None,
    ) -> None:
        self._rules, self._seats, self._desk, self._clock = rules, seats, desk, clock
        self._renamed = renamed if renamed is not None else {}
        self._reader = Reader()
        self._version, self._target = rules.spec.version, rules.spec.target
        self._sender = ""
        self._live = self._left = False
        self._next_out = self._expected = 1
        self._garble = 0
        self._heartbeat = rules.spec.heartbeat
        self._heard_ns = self._said_ns = 0
        self._test, self._test_until_ns = "", _NEVER
        self._disconnect_at_ns = _NEVER

    # The carrier.

    def take(self, data: bytes) -> list[bytes]:
        """Proved messages; what is not is left out, as the rules want it, and found by its number."""
        return [raw for _, raw in self._reader.feed(data)]

    def put(self, payloads: Sequence[bytes]) -> bytes:
        """Bodies under the next numbers; a whole message of ours goes as it is, one of a capture with a new header."""
        if not self._sender:
            return b""
        now_ns = self._clock()
        self._said_ns = now_ns
        sent = timestamp(now_ns)
        out = []
        for payload in payloads:
            made = payload
            if made.startswith(b"8="):
                if b"\x01123=Y\x01" in made:
                    out.append(made)
                    continue
                made = stripped(made)
            for market, own in self._renamed.items():
                made = made.replace(market, own, 1)
            header = ((34, self._next_out), (49, self._target), (52, sent), (56, self._sender))
            self._next_out += 1
            message = written(self._version, header, made)
            if self._garble:
                self._garble -= 1
                message = message[:-4] + b"%03d\x01" % ((int(message[-4:-1]) + 1) % 256)
            out.append(message)
        return b"".join(out)

    def bye(self, reason: str) -> bytes:
        """A logout, where there was none."""
        if self._left or not self._live:
            return b""
        self._left = True
        return self.put([body("5", (58, reason or "Logout"))])

    def lost(self) -> None:
        """The connection has ended: a client that did not log out cannot come back under its name for a while."""
        if self._live:
            self._live = False
            self._seats.taken.discard(self._sender)
            if not self._left:
                self._seats.locked[self._sender] = self._clock() + 2 * self._heartbeat * _SECOND_NS

    def strike(self, command: Command) -> list[Act] | None:
        """Does a fault of FIX sessions; a ping is a test request, a notice is News."""
        match command.fault:
            case "fix_ahead":
                self._next_out += command.count
            case "fix_behind":
                self._next_out -= 1
            case "fix_garble":
                self._garble += command.count
            case "fix_logout":
                return [Hang(_GOODBYE, command.reason or "logged out")]
            case "ping":
                return [self._ask(self._clock())]
            case "notice":
                self._disconnect_at_ns = self._clock() + int(command.seconds * _SECOND_NS)
                text = _NEWS % command.seconds if command.seconds > 10 else _LAST_NEWS
                return [Say(body("B", (148, text)))]
            case _:
                return None
        return []

    # The conversation.

    def greet(self, now_ns: int) -> list[Act]:
        """The client speaks first."""
        return []

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """One proved message."""
        told, raw = Reader().feed(text)[0]
        self._heard_ns = now_ns
        kind, number = told.get(35, ""), told.get(34, "")
        if self._left:
            return []
        if told.get(8) != self._version or not number.isdigit():
            return [Hang(_GOODBYE, f"BeginString {told.get(8)}, MsgSeqNum {number}")]
        if not self._live:
            return self._logon(told, now_ns)
        if (told.get(49), told.get(56)) != (self._sender, self._target):
            return [_reject(told, _COMP_ID, 49, "CompID problem"), Hang(_GOODBYE, "CompID problem")]
        if not _in_time(told, now_ns):
            return [_reject(told, _SENDING_TIME, 52, "SendingTime is outside of RecvWindow")]
        if kind == "4":
            return self._sequence_reset(told)
        wrong = self._out_of_order(told)
        return wrong if wrong is not None else self._understood(kind, told, raw, now_ns)

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """Heartbeats, test requests, and the end of who does not answer."""
        if not self._live or self._left:
            return []
        beat = self._heartbeat * _SECOND_NS
        if self._disconnect_at_ns <= now_ns:
            return [Hang(_GOODBYE, "maintenance")]
        if self._test_until_ns <= now_ns:
            return [Hang(_GOODBYE, "TestRequest unanswered")]
        if not self._test and self._heard_ns + beat <= now_ns:
            return [self._ask(now_ns)]
        if self._said_ns + beat <= now_ns:
            return [Say(body("0"))]
        return self._desk.tick(now_ns, idle)

    def _ask(self, now_ns: int) -> Say:
        self._test, self._test_until_ns = f"T{self._next_out}", now_ns + self._heartbeat * _SECOND_NS
        return Say(body("1", (112, self._test)))

    def _logon(self, told: dict[int, str], now_ns: int) -> list[Act]:
        self._sender = told.get(49, "")
        wrong = self._wrong_logon(told, now_ns)
        if wrong is not None:
            self._left = True
            # The reject is all that is said: there was no session to log out of.
            return [_reject(told, *wrong), Hang(_GOODBYE)]
        self._heartbeat = int(told[108])
        self._seats.taken.add(self._sender)
        self._live, self._expected = True, 2
        return [Say(body("A", (98, 0), (108, told[108]), (25037, uuid.uuid4())))]

    def _wrong_logon(self, told: dict[int, str], now_ns: int) -> tuple[int, int, str] | None:
        """The reason, tag and text of what is wrong with a logon."""
        low, high = self._rules.heartbeats
        interval = told.get(108, "")
        checks = (
            (told.get(35) == "A", _TYPE, 35, "the first message must be a Logon"),
            (told.get(56) == self._target, _COMP_ID, 56, "unknown TargetCompID"),
            (told.get(98) == "0", _VALUE, 98, "EncryptMethod must be 0"),
            (interval.isdigit() and low <= int(interval or 0) <= high, _VALUE, 108, "HeartBtInt out of range"),
            (told.get(141) == "Y", _VALUE, 141, "ResetSeqNumFlag must be Y"),
            (told.get(34) == "1", _VALUE, 34, "MsgSeqNum of a Logon must be 1"),
            (_in_time(told, now_ns, _RECV_WINDOW), _SENDING_TIME, 52, "Timestamp is outside of RecvWindow"),
            (self._seats.free(self._sender, now_ns), _VALUE, 49, "SenderCompID is in use"),
        )
        for holds, reason, tag, text in checks:
            if not holds:
                return reason, tag, text
        signature = self._rules.signed(told)
        return (_SIGNATURE, 96, signature) if signature else None

    def _out_of_order(self, told: dict[int, str]) -> list[Act] | None:
        """What is said to a message that is not the next one; None where it is."""
        number = int(told[34])
        if number == self._expected:
            self._expected += 1
            return None
        if number < self._expected:
            text = f"MsgSeqNum too low, expecting {self._expected} but received {number}"
            return [] if told.get(43) == "Y" else [Hang(_GOODBYE, text)]
        if self._rules.spec.resend:
            return [Say(body("2", (7, self._expected), (16, 0)))]
        text = f"MsgSeqNum too high, expected {self._expected}"
        return [_reject(told, _VALUE, 34, text), Hang(_GOODBYE, text)]

    def _understood(self, kind: str, told: dict[int, str], raw: bytes, now_ns: int) -> list[Act]:
        match kind:
            case "0":
                if told.get(112) == self._test:
                    self._test, self._test_until_ns = "", _NEVER
                return []
            case "1" if told.get(112):
                return [Say(body("0", (112, told[112])))]
            case "1":
                return [_reject(told, _TAG_MISSING, 112, "TestReqID missing")]
            case "2":
                return self._resend(told, now_ns)
            case "3":
                return []
            case "5":
                self._left = True
                return [Say(body("5", (58, "Logout acknowledgment."))), Hang(_GOODBYE)]
            case "A":
                return [Hang(_GOODBYE, "Logon can only be sent once")]
            case _:
                return self._desk.hear(raw, now_ns)

    def _resend(self, told: dict[int, str], now_ns: int) -> list[Act]:
        """Market data is not kept: all that is asked for is filled."""
        first, last = told.get(7, ""), told.get(16, "")
        known = first.isdigit() and last.isdigit() and 0 < int(first) < self._next_out
        if not self._rules.spec.resend or not known:
            return [_reject(told, _TYPE, 35, "Resend requests are not supported")]
        following = min(int(last) + 1, self._next_out) if int(last) else self._next_out
        header = ((34, first), (43, "Y"), (49, self._target), (52, timestamp(now_ns)), (56, self._sender))
        return [Say(written(self._version, header, body("4", (123, "Y"), (36, following))))]

    def _sequence_reset(self, told: dict[int, str]) -> list[Act]:
        following = told.get(36, "")
        if not following.isdigit() or int(following) < self._expected:
            return [_reject(told, _VALUE, 36, "NewSeqNo is wrong")]
        if told.get(123) == "Y" and int(told[34]) > self._expected:
            return self._out_of_order(told) or []
        self._expected = int(following)
        return []


def _reject(told: dict[int, str], reason: int, tag: int, text: str) -> Say:
    given = ((45, told.get(34, "0")), (371, tag), (372, told.get(35, "")), (373, reason), (58, text))
    return Say(body("3", *given))


def _in_time(told: dict[int, str], now_ns: int, default: float = 0.0) -> bool:
    sent = instant(told.get(52, ""))
    try:
        window = min(float(told.get(25000, default)), _LONGEST_WINDOW)
    except ValueError:
        return False
    if sent < 0:
        return False
    return window <= 0 or (sent < now_ns + _SECOND_NS and now_ns - sent <= window * 1_000_000)
