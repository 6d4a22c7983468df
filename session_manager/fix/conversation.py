"""One FIX session from the side that connects: logon, heartbeats, message numbers, logout. No I/O, no clock.

Every method takes the time in seconds (any monotonic clock) and, where a message may go out, the wall clock in ns.

A message that is ahead of its number is handed on at once and what is missing is asked for: market data does not wait. What comes
late is handed on as well, and once the hole is accounted for, by repeats or by a gap fill, `Hole` says that books must be built
anew: a gap fill leaves out what it replaces. Of our own messages none is ever sent again: a request that is minutes old is no
longer meant, so a resend request is answered by a gap fill.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from session_manager.fix.acts import Act, Beat, Deliver, End, Hole, Note, Ready, Tell, Write
from session_manager.fix.codec import FixError, encoded, fields, instant, written
from session_manager.fix.framing import Frame
from session_manager.fix.numbers import Numbers, Place
from session_manager.fix.schedule import next_reset
from tapeline.spec.session import FixSession
from tapeline.spec.template import render

_NEVER = float("inf")
_SESSION = frozenset((b"0", b"1", b"2", b"3", b"4", b"5", b"A", b"j"))
_GRACE = 1.2
"""How many heartbeat intervals of silence are none: a heartbeat takes time to travel."""
_FAREWELL = 2.0
_REMEMBERED = 4096
_REQUEST_IDS = (262, 320)
_COMP_ID_PROBLEM, _VALUE_INCORRECT, _TAG_MISSING, _INVALID_TAG = 9, 5, 1, 0


class Stage(Enum):
    """How far a session is."""

    BEFORE = "before"
    LOGON = "logon"
    LIVE = "live"
    LEAVING = "leaving"
    OVER = "over"


class Conversation:
    """A session over one connection; `numbers` may be those of the connection before, `variables` fill the spec's templates."""

    def __init__(self, spec: FixSession, numbers: Numbers, variables: Mapping[str, str]) -> None:
        self.stage = Stage.BEFORE
        self.heartbeat = float(spec.heartbeat)
        self._spec = spec
        self._numbers = numbers
        self._sender, self._target = render(spec.sender, variables), render(spec.target, variables)
        self._logon = [(tag, render(value, variables)) for tag, value in spec.logon]
        self._signed_at = variables.get("sending_time", "")
        self._peer = f"\x0149={self._target}\x01".encode()
        self._us = f"\x0156={self._sender}\x01".encode()
        self._heard = self._said = 0.0
        self._probe, self._probe_until = "", _NEVER
        self._fill_until = _NEVER
        self._holes: tuple[int, int] | None = None
        self._leave_until = _NEVER
        self._reset_at_ns: int | None = None
        self._requests: dict[int, tuple[str, str]] = {}
        self._acts: list[Act] = []

    def begin(self, now: float, clock_ns: int) -> list[Act]:
        """The connection stands: logs on."""
        if self._spec.reset:
            self._numbers.reset()
        if self._spec.schedule:
            self._reset_at_ns = next_reset(self._spec.schedule, clock_ns)
        self.stage, self._heard = Stage.LOGON, now
        reset = [(141, "Y")] if self._numbers.outgoing == 1 else []
        body = [(98, "0"), (108, str(self._spec.heartbeat)), *reset, *self._logon]
        # A signature covers the time at which it was made.
        self._send(now, "A", body, self._signed_at or instant(clock_ns))
        return self._done()

    def plain(self, now: float, frame: Frame) -> bool:
        """Whether a frame is nothing but the next application message, which is then noted; all others go to `frame`."""
        if frame.number != self._numbers.expected or frame.kind in _SESSION or self.stage is not Stage.LIVE:
            return False
        if frame.again or self._numbers.holes or not self._addressed(frame.raw):
            return False
        self._numbers.expected += 1
        self._heard = now
        return True

    def frame(self, now: float, clock_ns: int, frame: Frame) -> list[Act]:
        """Any proved message."""
        if self.stage in (Stage.BEFORE, Stage.OVER):
            return []
        self._heard = now
        try:
            told = fields(frame.raw)
        except FixError as error:
            self._unreadable(now, clock_ns, frame, str(error))
            return self._done()
        if told.get(8) != self._spec.version:
            self._leave_at_once(now, clock_ns, f"BeginString {told.get(8)}")
        elif frame.number < 0:
            self._leave_at_once(now, clock_ns, "MsgSeqNum missing")
        elif (told.get(49), told.get(56)) != (self._target, self._sender):
            self._reject(now, clock_ns, frame.number, _COMP_ID_PROBLEM, "CompID problem")
            self._leave_at_once(now, clock_ns, "CompID problem")
        elif self.stage is Stage.LOGON:
            self._first(now, clock_ns, frame, told)
        else:
            self._numbered(now, clock_ns, frame, told)
        return self._done()

    def send(self, now: float, clock_ns: int, text: str) -> list[Act]:
        """Sends application messages written as the session language has them; raises FixError."""
        if self.stage is Stage.LIVE:
            for body in written(text):
                kind = body[0][1]
                name = next((value for tag, value in body if tag in _REQUEST_IDS), "")
                self._requests[self._numbers.outgoing] = (kind, name)
                if len(self._requests) > _REMEMBERED:
                    self._requests.pop(next(iter(self._requests)))
                self._send(now, kind, body[1:], instant(clock_ns))
        return self._done()

    def probe(self, now: float, clock_ns: int) -> list[Act]:
        """Asks for a sign of life."""
        self._ask_for_life(now, clock_ns)
        return self._done()

    def leave(self, now: float, clock_ns: int, reason: str = "") -> list[Act]:
        """Logs out; `End` comes with the answer, or without it a little later."""
        if self.stage is Stage.LIVE:
            self._send(now, "5", [(58, reason)] if reason else [], instant(clock_ns))
            self.stage, self._leave_until = Stage.LEAVING, now + _FAREWELL
        elif self.stage is not Stage.LEAVING:
            self._over(reason or "left")
        return self._done()

    def tick(self, now: float, clock_ns: int) -> list[Act]:
        """Whatever time alone brings."""
        if self.stage is Stage.LEAVING and self._leave_until <= now:
            self._over("logout unanswered")
        if self.stage is not Stage.LIVE:
            return self._done()
        if self._reset_at_ns is not None and self._reset_at_ns <= clock_ns:
            self._numbers_end(now, clock_ns)
        elif self._probe_until <= now:
            self._leave_at_once(now, clock_ns, "test request unanswered")
        elif self._fill_until <= now:
            self._leave_at_once(now, clock_ns, "resend request unanswered")
        else:
            if self._heard + _GRACE * self.heartbeat <= now:
                self._ask_for_life(now, clock_ns)
            if self._said + self.heartbeat <= now:
                self._send(now, "0", [], instant(clock_ns))
        return self._done()

    def deadline(self, now: float, clock_ns: int) -> float:
        """When `tick` is due next."""
        if self.stage is Stage.LEAVING:
            return self._leave_until
        if self.stage is not Stage.LIVE:
            return _NEVER
        reset = now + max(self._reset_at_ns - clock_ns, 0) / 1e9 if self._reset_at_ns is not None else _NEVER
        silent = _NEVER if self._probe else self._heard + _GRACE * self.heartbeat
        return min(silent, self._said + self.heartbeat, self._probe_until, self._fill_until, reset)

    # What comes in.

    def _addressed(self, raw: bytes) -> bool:
        return raw.find(self._peer, 0, 256) >= 0 and raw.find(self._us, 0, 256) >= 0

    def _unreadable(self, now: float, clock_ns: int, frame: Frame, reason: str) -> None:
        # It proves itself, so it is what was meant; its number counts.
        self._acts.append(Note("fix_unreadable", reason))
        if self._numbers.place(frame.number) is Place.NEXT:
            self._numbers.receive(frame.number)
        self._reject(now, clock_ns, frame.number, _INVALID_TAG, reason)

    def _first(self, now: float, clock_ns: int, frame: Frame, told: dict[int, str]) -> None:
        if frame.kind in (b"5", b"3"):
            self.stage = Stage.OVER
            self._acts.append(End(f"logon refused: {told.get(58, '')}".rstrip(": "), refused=True))
        elif frame.kind != b"A":
            self._leave_at_once(now, clock_ns, "no logon")
        elif told.get(141) == "Y" or self._numbers.place(frame.number) is not Place.BEHIND:
            if told.get(141) == "Y":
                self._numbers.expected = frame.number
            given = told.get(108, "")
            self.heartbeat = float(given) if given.isdigit() and int(given) else self.heartbeat
            self.stage = Stage.LIVE
            self._acts.append(Ready())
            self._received(now, clock_ns, frame)
        else:
            self._too_low(now, clock_ns, frame.number)

    def _numbered(self, now: float, clock_ns: int, frame: Frame, told: dict[int, str]) -> None:
        if frame.kind == b"4":
            self._sequence_reset(now, clock_ns, frame, told)
            return
        place = self._numbers.place(frame.number)
        if place is Place.BEHIND:
            if frame.again:
                self._acts.append(Note("fix_repeat", f"message {frame.number} again"))
            else:
                self._too_low(now, clock_ns, frame.number)
            return
        if frame.kind == b"2":
            # Answered before the hole is looked at, or both sides would wait for each other.
            self._resend(now, clock_ns, told)
        if frame.kind != b"5":
            self._received(now, clock_ns, frame)
        if self.stage in (Stage.LIVE, Stage.LEAVING):
            self._understood(now, clock_ns, frame, told)

    def _understood(self, now: float, clock_ns: int, frame: Frame, told: dict[int, str]) -> None:
        match frame.kind:
            case b"0":
                self._heartbeat(told.get(112, ""))
            case b"1":
                self._acts.append(Beat(answer=False))
                self._send(now, "0", [(112, told.get(112, ""))], instant(clock_ns))
            case b"5":
                if self.stage is Stage.LIVE:
                    self._send(now, "5", [], instant(clock_ns))
                self._over(f"logout: {told.get(58, '')}".rstrip(": "))
            case b"3" | b"j":
                self._refused(told)
            case b"A":
                self._reject(now, clock_ns, frame.number, _VALUE_INCORRECT, "logged on already")
            case b"2":
                self._acts.append(Beat(answer=False))
            case _:
                self._acts.append(Deliver(frame.raw))

    def _heartbeat(self, name: str) -> None:
        if name and name == self._probe:
            self._probe, self._probe_until = "", _NEVER
            self._acts.append(Beat(answer=True))
        elif name:
            # The answer to a test request that was sent as a message, to learn that all before it were processed.
            self._acts.append(Tell(msgspec.json.encode({"35": "0", "112": name})))
        else:
            self._acts.append(Beat(answer=False))

    def _refused(self, told: dict[int, str]) -> None:
        """A reject names a message by its number: what it asked for is told beside it."""
        number = told.get(45, "")
        kind, name = self._requests.get(int(number) if number.isdigit() else -1, ("", ""))
        payload = {str(tag): value for tag, value in told.items()}
        named = {"request": kind, "262": name} if name else {}
        self._acts.append(Tell(msgspec.json.encode({**payload, **named})))

    def _received(self, now: float, clock_ns: int, frame: Frame) -> None:
        hole = self._numbers.receive(frame.number)
        if hole is not None:
            self._acts.append(Note("fix_hole", f"messages {hole[0]} to {hole[1]} are missing"))
            if not self._spec.resend:
                self._leave_at_once(now, clock_ns, f"messages {hole[0]} to {hole[1]} are missing")
                return
            self._holes = (min(hole[0], self._holes[0]) if self._holes else hole[0], hole[1])
            self._fill_until = now + 2 * self.heartbeat
            self._send(now, "2", [(7, str(hole[0])), (16, str(hole[1]))], instant(clock_ns))
        self._closed()

    def _closed(self) -> None:
        if self._holes is not None and not self._numbers.holes:
            self._acts.append(Hole(*self._holes))
            self._holes, self._fill_until = None, _NEVER

    def _sequence_reset(self, now: float, clock_ns: int, frame: Frame, told: dict[int, str]) -> None:
        self._acts.append(Beat(answer=False))
        text = told.get(36, "")
        if not text.isdigit():
            self._reject(now, clock_ns, frame.number, _TAG_MISSING, "NewSeqNo missing")
            return
        following = int(text)
        if told.get(123) == "Y":
            place = self._numbers.place(frame.number)
            if place is Place.BEHIND and not frame.again:
                self._too_low(now, clock_ns, frame.number)
            elif place is Place.BEHIND:
                self._acts.append(Note("fix_repeat", f"gap fill {frame.number} again"))
            elif following <= frame.number:
                self._reject(now, clock_ns, frame.number, _VALUE_INCORRECT, "NewSeqNo too low")
            else:
                if place is Place.AHEAD:
                    self._received(now, clock_ns, frame)
                self._numbers.fill(frame.number, following - 1)
                self._closed()
        elif following < self._numbers.expected:
            self._reject(now, clock_ns, frame.number, _VALUE_INCORRECT, "NewSeqNo too low")
        else:
            # A reset without gap fill counts whatever its own number is; nothing missing will come any more.
            first = min((start for start, _ in self._numbers.holes), default=self._numbers.expected)
            self._numbers.holes.clear()
            lost = following > first
            self._numbers.expected = following
            self._holes = (first, following - 1) if lost else self._holes
            self._closed()

    def _too_low(self, now: float, clock_ns: int, number: int) -> None:
        self._leave_at_once(
            now, clock_ns, f"MsgSeqNum too low, expecting {self._numbers.expected} but received {number}"
        )

    # What goes out.

    def _resend(self, now: float, clock_ns: int, told: dict[int, str]) -> None:
        first = told.get(7, "")
        if not first.isdigit() or not 0 < int(first) < self._numbers.outgoing:
            return
        header = [(34, first), (43, "Y"), (122, instant(clock_ns))]
        body = [(123, "Y"), (36, str(self._numbers.outgoing))]
        self._write(now, "4", header, body, instant(clock_ns))

    def _reject(self, now: float, clock_ns: int, number: int, reason: int, text: str) -> None:
        body = [(45, str(number)), (373, str(reason)), (58, text)]
        self._send(now, "3", body, instant(clock_ns))

    def _ask_for_life(self, now: float, clock_ns: int) -> None:
        if self.stage is Stage.LIVE and not self._probe:
            self._probe = f"probe-{self._numbers.outgoing}"
            self._probe_until = now + self.heartbeat
            self._send(now, "1", [(112, self._probe)], instant(clock_ns))

    def _leave_at_once(self, now: float, clock_ns: int, reason: str) -> None:
        # What is wrong would only be repeated: the answer is not waited for.
        self._send(now, "5", [(58, reason)], instant(clock_ns))
        refused = self.stage is Stage.LOGON
        self.stage = Stage.OVER
        self._acts.append(End(reason, refused))

    def _numbers_end(self, now: float, clock_ns: int) -> None:
        self._send(now, "5", [(58, "end of session")], instant(clock_ns))
        self._numbers.reset()
        self._over("scheduled reset")

    def _over(self, reason: str) -> None:
        if self.stage is not Stage.OVER:
            self.stage = Stage.OVER
            self._acts.append(End(reason))

    def _send(self, now: float, kind: str, body: list[tuple[int, str]], sent: str) -> None:
        self._write(now, kind, [(34, str(self._numbers.take()))], body, sent)

    def _write(
        self, now: float, kind: str, numbered: list[tuple[int, str]], body: list[tuple[int, str]], sent: str
    ) -> None:
        self._said = now
        header = [(35, kind), (49, self._sender), (56, self._target), *numbered, (52, sent)]
        self._acts.append(Write(encoded(self._spec.version, header, body)))

    def _done(self) -> list[Act]:
        acts, self._acts = self._acts, []
        return acts
