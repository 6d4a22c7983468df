"""Faults as commands: what is armed for a venue, and what it does to frames, REST answers and subscriptions.

A command is JSON: `{"fault": name, …}` with, as the fault wants, `channel` (a glob, default any), `count` (how many
frames, answers or subscriptions; default 1), `after` (matching ones let through first), `seconds`, `code`, `status`,
`retry_after`. To write a further fault, add a function to one of the registries below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

import msgspec

from emulator.packing import Packing
from emulator.reel import Frame
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

    def strikes(self, channel: str, party: str = "") -> bool:
        """Whether the next matching thing is hit; uses up `after`, then `count`."""
        if self.count <= 0 or not fnmatchcase(channel, self.channel) or not fnmatchcase(party, self.party):
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


FrameFault = Callable[[Frames, int, Packing], Frames]
"""Gets the frames, the place of the one that is hit and how the venue packs; gives what is sent instead."""

FRAME_FAULTS: dict[str, FrameFault] = {}
CONNECTION_FAULTS = {
    "close": "closes the TCP connection without a close frame",
    "close_code": "sends a close frame with `code` and `reason`, then closes",
    "drop_silently": "keeps the connection open and never says anything again",
    "ban": "closes, and refuses connections and requests (403, 418) for `seconds`",
    "token_expires": "closes, and no token issued so far is good any more",
    "stall": "says nothing for `seconds`, then goes on",
}
REST_FAULTS = {
    "reject_rest": "answers `count` requests with `status` (and Retry-After)",
    "rest_error_200": "answers `count` requests with status 200 and an error body",
    "stale_snapshot": "answers `count` snapshot requests as of `behind` places ago",
    "rest_timeout": "does not answer `count` requests for `seconds`",
}
SUBSCRIPTION_FAULTS = {
    "refuse": "takes `count` subscriptions to `channel` in silence: no ack, no data",
    "ack_only": "acknowledges `count` subscriptions to `channel`, and never sends data",
    "data_before_ack": "sends what a subscription begins with before its ack",
}


def frame_fault(name: str) -> Callable[[FrameFault], FrameFault]:
    """Registers a fault that acts on frames."""

    def register(act: FrameFault) -> FrameFault:
        FRAME_FAULTS[name] = act
        return act

    return register


@frame_fault("gap")
def _gap(frames: Frames, place: int, packing: Packing) -> Frames:
    """The frame is never sent."""
    return frames[:place] + frames[place + 1 :]


@frame_fault("duplicate")
def _duplicate(frames: Frames, place: int, packing: Packing) -> Frames:
    """The frame is sent twice."""
    return frames[: place + 1] + frames[place:]


@frame_fault("reorder")
def _reorder(frames: Frames, place: int, packing: Packing) -> Frames:
    """The frame changes places with the next one of its channel."""
    channel = frames[place].channel
    for later in range(place + 1, len(frames)):
        if frames[later].channel == channel:
            swapped = list(frames)
            swapped[place], swapped[later] = frames[later], frames[place]
            return swapped
    return frames


def _replaced(frames: Frames, place: int, payload: bytes) -> Frames:
    return [*frames[:place], frames[place]._replace(payload=payload), *frames[place + 1 :]]


def _rewritten(frames: Frames, place: int, packing: Packing, write: Callable[[bytes], bytes]) -> Frames:
    """The frame with another text in it."""
    text = packing.unpack(frames[place].payload)
    return _replaced(frames, place, packing.pack(write(text)))


@frame_fault("truncate")
def _truncate(frames: Frames, place: int, packing: Packing) -> Frames:
    """The payload ends in its middle."""
    payload = frames[place].payload
    return _replaced(frames, place, payload[: len(payload) // 2])


@frame_fault("corrupt")
def _corrupt(frames: Frames, place: int, packing: Packing) -> Frames:
    """A byte in the middle of the payload is no longer JSON."""
    payload = bytearray(frames[place].payload)
    payload[len(payload) // 2] = 0x01
    return _replaced(frames, place, bytes(payload))


@frame_fault("checksum")
def _checksum(frames: Frames, place: int, packing: Packing) -> Frames:
    """The checksum's last digit changes; a payload without one is left."""

    def other(found: re.Match[bytes]) -> bytes:
        return found[1] + (b"1" if found[2] != b"1" else b"2")

    pattern = rb'("checksum":\s*"?-?\d*)(\d)'
    return _rewritten(frames, place, packing, lambda text: re.sub(pattern, other, text, count=1))


@frame_fault("checksum_zero")
def _checksum_zero(frames: Frames, place: int, packing: Packing) -> Frames:
    """The checksum is 0."""
    pattern = rb'("checksum":\s*)-?\d+'
    return _rewritten(frames, place, packing, lambda text: re.sub(pattern, rb"\g<1>0", text, count=1))


@frame_fault("unknown_field")
def _unknown_field(frames: Frames, place: int, packing: Packing) -> Frames:
    """The object begins with a field nobody knows."""
    return _rewritten(frames, place, packing, lambda text: text.replace(b"{", b'{"__new":{"a":[1,"x"]},', 1))


@frame_fault("unknown_type")
def _unknown_type(frames: Frames, place: int, packing: Packing) -> Frames:
    """A frame of a kind nobody knows comes before this one."""
    new = Frame(frames[place].channel, b'{"type":"something_new","data":[]}')
    return [*frames[:place], new, *frames[place:]]


@frame_fault("plain_text")
def _plain_text(frames: Frames, place: int, packing: Packing) -> Frames:
    """A plain word comes among the JSON."""
    return [*frames[:place], Frame(frames[place].channel, b"pong"), *frames[place:]]


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

    def frames(self, frames: Frames, names: Sequence[str], packing: Packing, party: str = "") -> Frames:
        """Frames as they are sent, struck by what is armed. Those not touched are the same objects."""
        for target, command in list(self.armed):
            if target is not Target.FRAMES:
                continue
            place = 0
            while place < len(frames) and command.count > 0:
                length = len(frames)
                if command.strikes(names[frames[place].channel], party):
                    frames = FRAME_FAULTS[command.fault](frames, place, packing)
                    self._count(command)
                    place += max(len(frames) - length, 0)
                place += 1
        return frames
