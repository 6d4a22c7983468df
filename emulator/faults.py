"""Faults as commands: what is armed for a venue, and what it does to frames, REST answers and subscriptions.

A command is JSON: `{"fault": name, …}` with, as the fault wants, `channel` (a glob, default any), `count` (how many
frames, answers or subscriptions; default 1), `after` (matching ones let through first), `seconds`, `code`, `status`,
`retry_after`, `size`. To write a further fault, add a function to one of the registries below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Protocol

import msgspec

from emulator.packing import Encoded, Packing, Squeezed
from emulator.reel import Frame
from emulator.shapes import Shapes
from emulator.wire import Opcode
from tapeline.errors import UsageError


class Command(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A fault command as it is sent; `count` and `after` are used up while it acts."""

    fault: str
    channel: str = "*"
    party: str = "*"
    count: int = 1
    after: int = 0
    seconds: float = 0.0
    code: int = 1011
    reason: str = ""
    status: int = 429
    retry_after: int = 1
    behind: int = 20_000
    size: int = 5

    def aims(self, channel: str, party: str = "") -> bool:
        """Whether such a thing is meant."""
        return self.count > 0 and fnmatchcase(channel, self.channel) and fnmatchcase(party, self.party)

    def strikes(self, channel: str, party: str = "") -> bool:
        """Whether the next matching thing is hit; uses up `after`, then `count`."""
        if not self.aims(channel, party):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.count -= 1
        return True


Frames = list[Frame]
"""Frames about to be sent."""


class Target(Enum):
    """What a fault acts on."""

    FRAMES = "frames"
    CONNECTION = "connection"
    REST = "rest"
    SUBSCRIPTION = "subscription"


class Hands(Protocol):
    """What a fault may ask of the connection it acts on."""

    packing: Packing
    shapes: Shapes

    def name(self, channel: int) -> str:
        """A channel's id."""
        ...

    def opening(self, channel: int) -> list[bytes]:
        """What a subscription of the channel would begin with now, as JSON."""
        ...

    def shift(self, channel: int, by: int) -> None:
        """From the next block on all ids of the channel are higher by so much."""
        ...

    def shifted(self, frame: Frame, by: int) -> Frame:
        """A frame with its ids shifted."""
        ...


FrameFault = Callable[[Frames, int, Hands], Frames | None]
"""Gets the frames and the place of the one that is hit; gives what is sent instead, None where it does not apply to it."""

FRAME_FAULTS: dict[str, FrameFault] = {}
CONNECTION_FAULTS = {
    "close": "closes the TCP connection without a close frame",
    "close_code": "sends a close frame with `code` and `reason`, then closes",
    "drop_when_idle": "never says anything again to a client that has said nothing for `seconds`",
    "max_age": "closes every connection, later ones too, `seconds` after it was opened (0: no more)",
    "notice": "says the venue's notice of an end, and closes `seconds` later",
    "maintenance": "says the venue's notice of a pause, is silent for `seconds`, says that it is over",
    "ping": "pings as the venue does, and closes if no answer echoes it within `seconds` (5)",
    "end_of_life": "sends nothing of `channel` any more; who subscribes it again is granted and hears nothing",
    "drop_silently": "keeps the connection open and never says anything again",
    "ban": "closes, and refuses connections and requests (403, 418) for `seconds`",
    "token_expires": "closes, and no token issued so far is good any more",
    "stall": "says nothing for `seconds`, then goes on",
}
REST_FAULTS = {
    "reject_rest": "answers `count` requests with `status` (and Retry-After)",
    "rest_error_200": "answers `count` requests with status 200 and an error body",
    "stale_snapshot": "answers `count` snapshot requests as of `behind` places ago",
    "cached": "answers `count` requests with the body of the one before",
    "rest_timeout": "does not answer `count` requests for `seconds`",
}
SUBSCRIPTION_FAULTS = {
    "refuse": "takes `count` subscriptions to `channel` in silence: no ack, no data",
    "ack_only": "acknowledges `count` subscriptions to `channel`, and never sends data",
    "late_ack": "acknowledges `count` subscriptions `seconds` later; data come at once",
    "partial_ack": "leaves `channel` out of the answer that lists what is granted, and sends no data of it",
    "replay_trades": "sends the last `size` messages of `channel` once more after subscribing",
    "data_before_ack": "sends what a subscription begins with before its ack",
}


def frame_fault(name: str) -> Callable[[FrameFault], FrameFault]:
    """Registers a fault that acts on frames."""

    def register(act: FrameFault) -> FrameFault:
        FRAME_FAULTS[name] = act
        return act

    return register


@frame_fault("gap")
def _gap(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The frame is never sent."""
    return frames[:place] + frames[place + 1 :]


@frame_fault("duplicate")
def _duplicate(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The frame is sent twice."""
    return frames[: place + 1] + frames[place:]


@frame_fault("reorder")
def _reorder(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The frame changes places with the next one of its channel."""
    channel = frames[place].channel
    for later in range(place + 1, len(frames)):
        if frames[later].channel == channel:
            swapped = list(frames)
            swapped[place], swapped[later] = frames[later], frames[place]
            return swapped
    return None


def replaced(frames: Frames, place: int, payload: bytes) -> Frames:
    """The frames with another payload in one of them."""
    return [*frames[:place], frames[place]._replace(payload=payload), *frames[place + 1 :]]


@frame_fault("stale_delta")
def _stale_delta(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The frame comes once more, after `size` others of its channel (done by `Board`, which sees more than one block)."""
    return None


@frame_fault("truncate")
def _truncate(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The payload ends in its middle."""
    payload = frames[place].payload
    return replaced(frames, place, payload[: len(payload) // 2])


@frame_fault("corrupt")
def _corrupt(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """A byte in the middle of the payload is no longer JSON."""
    payload = bytearray(frames[place].payload)
    payload[len(payload) // 2] = 0x01
    return replaced(frames, place, bytes(payload))


@frame_fault("unknown_field")
def _unknown_field(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The object begins with a field nobody knows."""
    text = hands.packing.unpack(frames[place].payload)
    if not text.startswith(b"{"):
        return None
    return replaced(frames, place, hands.packing.pack(text.replace(b"{", b'{"__new":{"a":[1,"x"]},', 1)))


@frame_fault("unknown_type")
def _unknown_type(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """A frame of a kind nobody knows comes before this one."""
    new = Frame(frames[place].channel, b'{"type":"something_new","data":[]}')
    return [*frames[:place], new, *frames[place:]]


@frame_fault("plain_text")
def _plain_text(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """A plain word comes among the JSON."""
    return [*frames[:place], Frame(frames[place].channel, b"pong"), *frames[place:]]


@frame_fault("member_split")
def _member_split(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """A compressed frame consists of two members, one after the other."""
    text = hands.packing.unpack(frames[place].payload)
    if not isinstance(hands.packing, Squeezed) or not hands.packing.members:
        return None
    half = len(text) // 2
    return replaced(frames, place, hands.packing.pack(text[:half]) + hands.packing.pack(text[half:]))


@frame_fault("mixed")
def _mixed(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """A text goes as a binary frame; where all is compressed, one goes as plain text."""
    frame = frames[place]
    if isinstance(hands.packing, Encoded):
        return None
    if isinstance(hands.packing, Squeezed):
        other = Frame(frame.channel, hands.packing.unpack(frame.payload), Opcode.TEXT)
    else:
        other = frame._replace(opcode=Opcode.BINARY)
    return [*frames[:place], other, *frames[place + 1 :]]


_BLOCK = re.compile(rb'("blockHash":"0x)([0-9a-f]{64})')
_OTHER_DIGITS = bytes.maketrans(b"0123456789abcdef", b"fedcba9876543210")


@frame_fault("reorg")
def _reorg(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The log of a chain is removed again, and stands in another block of the same number."""
    text = hands.packing.unpack(frames[place].payload)
    if b'"removed":false' not in text:
        return None
    removed = text.replace(b'"removed":false', b'"removed":true')
    again = _BLOCK.sub(lambda found: found[1] + found[2].translate(_OTHER_DIGITS), text)
    made = [Frame(frames[place].channel, hands.packing.pack(one)) for one in (removed, again)]
    return [*frames[: place + 1], *made, *frames[place + 1 :]]


def parse(body: bytes) -> tuple[Target, Command]:
    """Reads a command; raises UsageError."""
    try:
        command = msgspec.json.decode(body, type=Command)
    except msgspec.DecodeError as error:
        raise UsageError(f"fault command: {error}") from None
    for target, registry in _registries():
        if command.fault in registry:
            return target, command
    known = sorted(name for _, registry in _registries() for name in registry)
    raise UsageError(f"unknown fault {command.fault!r}; known: {', '.join(known)}")


def _registries() -> list[tuple[Target, Sequence[str]]]:
    return [
        (Target.FRAMES, list(FRAME_FAULTS)),
        (Target.CONNECTION, list(CONNECTION_FAULTS)),
        (Target.REST, list(REST_FAULTS)),
        (Target.SUBSCRIPTION, list(SUBSCRIPTION_FAULTS)),
    ]


@dataclass(slots=True)
class Board:
    """What is armed for one venue; `struck` counts by fault."""

    armed: list[tuple[Target, Command]]
    struck: dict[str, int]
    _kept: dict[int, list[Frame]] = field(default_factory=dict)

    def arm(self, target: Target, command: Command) -> None:
        """Arms a fault."""
        self.armed.append((target, command))

    def hit(self, target: Target, channel: str, party: str = "") -> Command | None:
        """The armed fault that strikes here, if any."""
        for entry in self.armed:
            if entry[0] is target and entry[1].strikes(channel, party):
                self._count(entry[1])
                return entry[1]
        return None

    def _count(self, command: Command) -> None:
        self.struck[command.fault] = self.struck.get(command.fault, 0) + 1
        self.armed = [entry for entry in self.armed if entry[1].count > 0]

    def waits(self, target: Target) -> bool:
        """Whether anything is armed for a target."""
        return any(entry[0] is target for entry in self.armed)

    def frames(self, frames: Frames, hands: Hands, party: str = "") -> Frames:
        """Frames as they are sent, struck by what is armed. Those not touched are the same objects."""
        for target, command in list(self.armed):
            if target is not Target.FRAMES:
                continue
            if command.fault == "stale_delta":
                frames = self._again(frames, command, hands, party)
                continue
            place = 0
            while place < len(frames) and command.count > 0:
                if not command.aims(hands.name(frames[place].channel), party):
                    pass
                elif command.after > 0:
                    command.after -= 1
                elif (struck := FRAME_FAULTS[command.fault](frames, place, hands)) is not None:
                    command.count -= 1
                    place += max(len(struck) - len(frames), 0)
                    frames = struck
                    self._count(command)
                place += 1
        return frames

    def _again(self, frames: Frames, command: Command, hands: Hands, party: str) -> Frames:
        """Keeps a frame, and sends it once more after `size` others of its channel."""
        out: Frames = []
        for frame in frames:
            out.append(frame)
            if not command.aims(hands.name(frame.channel), party) or command.count <= 0:
                continue
            kept = self._kept.get(id(command))
            if kept is None:
                self._kept[id(command)] = [frame]
            elif frame.channel == kept[0].channel:
                kept.append(frame)
                if len(kept) > command.size and command.strikes(hands.name(frame.channel), party):
                    out.append(Frame(*kept[0]))
                    del self._kept[id(command)]
                    self._count(command)
        return out
