"""A venue's captures as one tape: data frames on their channels in order of time, REST answers in their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import numpy.typing as npt

from emulator import reading, wire
from emulator.halves import is_of
from emulator.reading import UNKNOWN_CHANNEL
from emulator.venue import Asked, Emulation
from tapeline import telemetry
from tapeline.captures import Frame, Kind, read_capture
from tapeline.errors import CaptureError
from tapeline.spec.session import Session

_PAUSE_NS = 100_000_000
"""Between two captures of the same channel."""


class Answer(NamedTuple):
    """A captured REST answer; `place` is the number of data frames before it."""

    place: int
    asked: Asked
    symbol: str
    body: bytes
    time: int
    """When it came, in ns since the first."""
    spoken: reading.Asked | None = None
    """What it answered, where that was over the socket."""
    channel: str = ""
    """Which list it is, of an instrument list."""


@dataclass(frozen=True, slots=True)
class Tape:
    """Data frames in order: `framed` as they go over the socket, `times` in ns since the first, `channels` by index."""

    names: tuple[str, ...]
    framed: tuple[bytes, ...]
    times: npt.NDArray[np.int64]
    channels: npt.NDArray[np.int32]
    carriers: npt.NDArray[np.int32]
    """The channel with which a frame is sent: its own, or for what has none that of the frame before it."""
    answers: tuple[Answer, ...]
    skipped: int
    """Frames that are no data: control, which the emulator makes itself."""
    personal: bool = False
    """Whether the frames name their channels by keys of the connection's own."""

    @property
    def count(self) -> int:
        """How many data frames."""
        return len(self.framed)

    def payload(self, place: int) -> bytes:
        """A frame's payload."""
        return wire.payload(self.framed[place])


@dataclass(slots=True)
class _Reel:
    """One capture, read."""

    path: Path
    entries: list[reading.Entry]
    start: int
    end: int
    keyed: bool


def find(folder: Path, venue: str) -> list[Path]:
    """A venue's captures in a folder: those in its subfolder `<venue>`, else files named after the venue.

    A folder that itself bears the venue's name holds captures of it alone.
    """
    own = folder / venue
    place = own if own.is_dir() else folder
    files = sorted(path for path in place.iterdir() if path.name.endswith((".jsonl.zst", ".jsonl")))
    if own.is_dir() or folder.name == venue:
        return files
    return [path for path in files if path.name.startswith((f"{venue}.", f"{venue}_", f"{venue}-"))]


def load(paths: Sequence[Path], session: Session, venue: Emulation, any_host: bool = False) -> Tape:
    """Reads captures of one venue into a tape.

    Captures that share a channel follow one another, others run side by side. One recorded at another venue's hosts is
    passed over with a warning, unless `any_host`. Raises CaptureError.
    """
    reels = [reel for path in paths if (reel := _read(path, session, any_host)) is not None]
    reels.sort(key=lambda reel: reel.start)
    merged: list[tuple[int, reading.Entry]] = []
    ends: dict[str, int] = {}
    for reel in reels:
        own = {entry.channel for entry in reel.entries} - {"", UNKNOWN_CHANNEL}
        offset = max((ends[name] for name in own if name in ends), default=0)
        last = offset + reel.end - reel.start + _PAUSE_NS
        ends.update(dict.fromkeys(own, last))
        merged += [(max(entry.frame.ts - reel.start, 0) + offset, entry) for entry in reel.entries]
    merged.sort(key=lambda entry: entry[0])
    return _tape(merged, venue, any(reel.keyed for reel in reels))


def _known(name: str) -> bool:
    return name not in ("", UNKNOWN_CHANNEL)


def _tape(merged: list[tuple[int, reading.Entry]], venue: Emulation, personal: bool) -> Tape:
    names: dict[str, int] = {}
    framed: list[bytes] = []
    times: list[int] = []
    channels: list[int] = []
    answers: list[Answer] = []
    carriers: list[int] = []
    skipped = 0
    # What comes before the first frame that has a channel goes with that one.
    carrier = 0
    streamed = [entry.channel for _, entry in merged if entry.asked is None and entry.frame.kind is Kind.RECV]
    names.update(dict.fromkeys([name for name in streamed if _known(name)][:1], 0))
    for time, entry in merged:
        frame, name = entry.frame, entry.channel
        if entry.asked is not None:
            answers.append(Answer(len(framed), Asked.SNAPSHOT, entry.asked.symbol, frame.data, time, entry.asked))
        elif frame.kind is Kind.HTTP:
            answer = _answer(frame, len(framed), time, venue)
            answers += [answer] if answer else []
        elif name:
            opcode = wire.Opcode.BINARY if frame.binary else wire.Opcode.TEXT
            framed.append(wire.frame(frame.data, opcode))
            times.append(time)
            channels.append(names.setdefault(name, len(names)))
            carrier = carrier if name == UNKNOWN_CHANNEL else channels[-1]
            carriers.append(carrier)
        else:
            skipped += 1
    return Tape(
        tuple(names),
        tuple(framed),
        np.array(times, np.int64),
        np.array(channels, np.int32),
        np.array(carriers, np.int32),
        tuple(answers),
        skipped,
        personal,
    )


def _answer(frame: Frame, place: int, time: int, venue: Emulation) -> Answer | None:
    parts = urlsplit(frame.url or "")
    ask = venue.ask(parts.path, dict(parse_qsl(parts.query)))
    if ask is None:
        telemetry.event("answer_unknown", telemetry.Level.WARNING, url=frame.url)
        return None
    return Answer(place, ask.asked, ask.symbol, frame.data, time, channel=ask.channel)


def _unreadable(error: CaptureError) -> None:
    telemetry.event("capture_line_unreadable", telemetry.Level.WARNING, why=str(error))


def _read(path: Path, session: Session, any_host: bool) -> _Reel | None:
    frames = list(read_capture(path, _unreadable))
    connected = {urlsplit(frame.url or "").hostname or "" for frame in frames if frame.kind is Kind.CONNECT}
    if not any_host and connected and not any(is_of(session, host) for host in connected):
        telemetry.event("capture_of_other_venue", telemetry.Level.WARNING, path=path, hosts=sorted(connected))
        return None
    found = reading.read(frames, session)
    heard = found.entries
    data = [entry.frame.ts for entry in heard if _known(entry.channel) and entry.asked is None]
    if not data and not any(entry.frame.kind is Kind.HTTP for entry in heard):
        if any_host:
            raise CaptureError(path, 0, "no frame of it is data of this venue")
        telemetry.event("capture_without_data", telemetry.Level.WARNING, path=path)
        return None
    times = data or [entry.frame.ts for entry in heard]
    return _Reel(path, heard, min(times), max(times), found.keyed)
