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

from tapeline.errors import UsageError


class Command(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A fault command as it is sent; `count` and `after` are used up while it acts."""

    fault: str
    channel: str = "*"
    count: int = 1
    after: int = 0
    seconds: float = 0.0
    code: int = 1011
    reason: str = ""
    status: int = 429
    retry_after: int = 1
    behind: int = 20_000

    def strikes(self, channel: str) -> bool:
        """Whether the next matching thing is hit; uses up `after`, then `count`."""
        if self.count <= 0 or not fnmatchcase(channel, self.channel):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.count -= 1
        return True


Frames = list[tuple[int, bytes]]
"""Channel index and payload of frames about to be sent."""


class Target(Enum):
    """What a fault acts on."""

    FRAMES = "frames"
    CONNECTION = "connection"
    REST = "rest"
    SUBSCRIPTION = "subscription"


FrameFault = Callable[[Frames, int], Frames]
"""Gets the frames and the place of the one that is hit; gives what is sent instead."""

FRAME_FAULTS: dict[str, FrameFault] = {}
CONNECTION_FAULTS = {
    "close": "closes the TCP connection without a close frame",
    "close_code": "sends a close frame with `code` and `reason`, then closes",
    "drop_silently": "keeps the connection open and never says anything again",
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
def _gap(frames: Frames, place: int) -> Frames:
    """The frame is never sent."""
    return frames[:place] + frames[place + 1 :]


@frame_fault("duplicate")
def _duplicate(frames: Frames, place: int) -> Frames:
    """The frame is sent twice."""
    return frames[: place + 1] + frames[place:]


@frame_fault("reorder")
def _reorder(frames: Frames, place: int) -> Frames:
    """The frame changes places with the next one of its channel."""
    channel = frames[place][0]
    for later in range(place + 1, len(frames)):
        if frames[later][0] == channel:
            swapped = list(frames)
            swapped[place], swapped[later] = frames[later], frames[place]
            return swapped
    return frames


def _replaced(frames: Frames, place: int, payload: bytes) -> Frames:
    return [*frames[:place], (frames[place][0], payload), *frames[place + 1 :]]


@frame_fault("truncate")
def _truncate(frames: Frames, place: int) -> Frames:
    """The payload ends in its middle."""
    payload = frames[place][1]
    return _replaced(frames, place, payload[: len(payload) // 2])


@frame_fault("corrupt")
def _corrupt(frames: Frames, place: int) -> Frames:
    """A byte in the middle of the payload is no longer JSON."""
    payload = bytearray(frames[place][1])
    payload[len(payload) // 2] = 0x01
    return _replaced(frames, place, bytes(payload))


@frame_fault("checksum")
def _checksum(frames: Frames, place: int) -> Frames:
    """The checksum's last digit changes; a payload without one is left."""

    def other(found: re.Match[bytes]) -> bytes:
        return found[1] + (b"1" if found[2] != b"1" else b"2")

    return _replaced(frames, place, re.sub(rb'("checksum":\s*"?-?\d*)(\d)', other, frames[place][1], count=1))


@frame_fault("checksum_zero")
def _checksum_zero(frames: Frames, place: int) -> Frames:
    """The checksum is 0."""
    return _replaced(frames, place, re.sub(rb'("checksum":\s*)-?\d+', rb"\g<1>0", frames[place][1], count=1))


@frame_fault("unknown_field")
def _unknown_field(frames: Frames, place: int) -> Frames:
    """The object begins with a field nobody knows."""
    return _replaced(frames, place, frames[place][1].replace(b"{", b'{"__new":{"a":[1,"x"]},', 1))


@frame_fault("unknown_type")
def _unknown_type(frames: Frames, place: int) -> Frames:
    """A frame of a kind nobody knows comes before this one."""
    return [*frames[:place], (frames[place][0], b'{"type":"something_new","data":[]}'), *frames[place:]]


@frame_fault("plain_text")
def _plain_text(frames: Frames, place: int) -> Frames:
    """A plain word comes among the JSON."""
    return [*frames[:place], (frames[place][0], b"pong"), *frames[place:]]


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

    def hit(self, target: Target, channel: str) -> Command | None:
        """The armed fault that strikes here, if any."""
        for entry in self.armed:
            if entry[0] is target and entry[1].strikes(channel):
                self._count(entry[1])
                return entry[1]
        return None

    def _count(self, command: Command) -> None:
        self.struck[command.fault] = self.struck.get(command.fault, 0) + 1
        self.armed = [entry for entry in self.armed if entry[1].count > 0]

    def waits(self, target: Target) -> bool:
        """Whether anything is armed for a target."""
        return any(entry[0] is target for entry in self.armed)

    def frames(self, frames: Frames, names: Sequence[str]) -> Frames:
        """Frames as they are sent, struck by what is armed."""
        for target, command in list(self.armed):
            if target is not Target.FRAMES:
                continue
            place = 0
            while place < len(frames) and command.count > 0:
                length = len(frames)
                if command.strikes(names[frames[place][0]]):
                    frames = FRAME_FAULTS[command.fault](frames, place)
                    self._count(command)
                    place += max(len(frames) - length, 0)
                place += 1
        return frames
