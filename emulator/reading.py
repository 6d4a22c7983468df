"""A capture's frames with their channels: what is data, what answers a question over the socket, what is control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from emulator.reel import KEY_MARK
from tapeline.captures import Frame, Kind
from tapeline.offline.answers import Answers
from tapeline.offline.control import ACK, OPENING, ControlShapes
from tapeline.spec.session import Request, Session
from tapeline.spec.subscribe import channel
from tapeline.spec.template import at, decode, fits, text_of

UNKNOWN_CHANNEL = "_unknown"
"""What is neither data nor control, such as a frame cut in its middle, is replayed too."""
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """A question over the socket that a frame answers, with the number it bore there."""

    channel: str
    symbol: str
    request: Request
    number: str


class Entry(NamedTuple):
    """One frame and its channel; empty for control, `_unknown` for what is neither."""

    frame: Frame
    channel: str
    asked: Asked | None = None


def read(frames: Sequence[Frame], session: Session) -> Reading:
    """Received frames and REST answers, in order, with the channels the session manager would have found."""
    found = Reading(session, ()).run(frames)
    known = dict.fromkeys(entry.channel for entry in found.entries if entry.channel not in ("", UNKNOWN_CHANNEL))
    wanted = [*known, *(name for name in found.subscribed if name not in known)]
    asked = any(request.message for request in session.requests)
    # Which symbol routes hold, and what an answer is for, depends on the channels there are.
    return Reading(session, wanted).run(frames) if session.symbol_routes or asked else found


class Reading:
    """One pass over a capture; `keyed`: keys in its frames have become marks."""

    def __init__(self, session: Session, channels: Sequence[str]) -> None:
        # Here, since only replays need the kernel.
        from tapeline.offline.capture_router import CaptureRouter

        self._session = session
        self._lines = CaptureRouter(session, "EMULATOR", "PRIMARY", 1, channels)
        self._answers = Answers(session, channels)
        self._shapes = ControlShapes(session)
        self._routed: list[str] = []
        self._open = 0
        self.subscribed: dict[str, None] = {}
        self.entries: list[Entry] = []
        self.keyed = False
        self._keys: dict[str, dict[str, bytes]] = {}

    def run(self, frames: Sequence[Frame]) -> Reading:
        """All of them."""
        waiting: list[int] = []
        for frame in frames:
            if frame.kind is Kind.CONNECT:
                self._lines.connect(frame)
            elif frame.kind is Kind.SEND:
                command = self._lines.send(frame)
                self.subscribed.update(dict.fromkeys(command.channels if command else ()))
                self._answers.asked(frame.connection, frame.data)
            elif frame.kind is Kind.HTTP:
                self.entries.append(Entry(frame, ""))
            elif (text := self._lines.receive(frame)) is None:
                waiting.append(len(self.entries))
                self.entries.append(Entry(frame, ""))
            else:
                self._settle(waiting)
                self.entries.append(self._control(frame, text))
                if self._session.subscription.ack.key:
                    told = self._lines.keys(frame.connection)
                    self._keys[frame.connection] = {name: key.encode() for key, name in told.items()}
            if len(waiting) >= _BATCH:
                self._settle(waiting)
        self._settle(waiting)
        return self

    def _settle(self, waiting: list[int]) -> None:
        """The channels of the frames that routes have taken."""
        from tapeline.offline.capture_router import channels_in

        for place, name in zip(waiting, channels_in(self._lines.router), strict=True):
            frame = self.entries[place].frame
            self.entries[place] = Entry(self._marked(frame, name), name)
        waiting.clear()

    def _marked(self, frame: Frame, name: str) -> Frame:
        """A frame whose key of the channel is a mark: every connection has keys of its own."""
        key = self._keys.get(frame.connection, {}).get(name, b"")
        if not key or key not in frame.data:
            return frame
        self.keyed = True
        return frame._replace(data=frame.data.replace(key, KEY_MARK.encode(), 1))

    def _control(self, frame: Frame, text: bytes) -> Entry:
        name = self._shapes.name(text)
        answer = self._answers.answered(frame.connection, text) if name in (None, ACK, OPENING) else None
        if answer is None:
            return Entry(frame, "" if name else UNKNOWN_CHANNEL)
        value = decode(text)
        request = next(r for r in self._session.requests if r.message and fits(value, r.answer))
        known = channel(self._session, answer.channel)
        number = text_of(at(value, request.id)) if request.id else ""
        return Entry(frame, answer.channel, Asked(answer.channel, known.symbol if known else "", request, number))
