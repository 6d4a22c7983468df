"""A venue's captures as one tape: data frames on their channels in order of time, REST answers in their places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import numpy.typing as npt

from emulator import wire
from emulator.halves import hosts
from emulator.venue import Asked, Emulation
from tapeline import telemetry
from tapeline.captures import Frame, Kind, read_capture
from tapeline.errors import CaptureError
from tapeline.ingest.v1 import ingest_pb2
from tapeline.offline.control import ControlShapes
from tapeline.spec.encode import encode
from tapeline.spec.routing import Routing
from tapeline.spec.session import Session
from tapeline.spec.subscribe import routing as with_symbol_routes

UNKNOWN_CHANNEL = "_unknown"
"""What is neither data nor control, such as a frame cut in its middle, is replayed too."""
_BATCH = 4096
_PAUSE_NS = 100_000_000
"""Between two captures of the same channel."""


class Answer(NamedTuple):
    """A captured REST answer; `place` is the number of data frames before it."""

    place: int
    asked: Asked
    symbol: str
    body: bytes


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

    @property
    def count(self) -> int:
        """How many data frames."""
        return len(self.framed)

    def payload(self, place: int) -> bytes:
        """A frame's payload."""
        return wire.payload(self.framed[place])


@dataclass(slots=True)
class _Reel:
    """One capture, read: frames and their channel names ("" for control)."""

    path: Path
    frames: list[Frame]
    channels: list[str]
    start: int
    end: int


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


def load(paths: Sequence[Path], session: Session, venue: Emulation | None, any_host: bool = False) -> Tape:
    """Reads captures of one venue into a tape.

    Captures that share a channel follow one another, others run side by side. One recorded at another venue's hosts is
    passed over with a warning, unless `any_host`. Raises CaptureError.
    """
    reels = [reel for path in paths if (reel := _read(path, session, any_host)) is not None]
    reels.sort(key=lambda reel: reel.start)
    merged: list[tuple[int, Frame, str]] = []
    ends: dict[str, int] = {}
    for reel in reels:
        own = set(reel.channels) - {"", UNKNOWN_CHANNEL}
        offset = max((ends[name] for name in own if name in ends), default=0)
        last = offset + reel.end - reel.start + _PAUSE_NS
        ends.update(dict.fromkeys(own, last))
        for frame, name in zip(reel.frames, reel.channels, strict=True):
            merged.append((max(frame.ts - reel.start, 0) + offset, frame, name))
    merged.sort(key=lambda entry: entry[0])
    return _tape(merged, venue)


def _known(name: str) -> bool:
    return name not in ("", UNKNOWN_CHANNEL)


def _tape(merged: list[tuple[int, Frame, str]], venue: Emulation | None) -> Tape:
    names: dict[str, int] = {}
    framed: list[bytes] = []
    times: list[int] = []
    channels: list[int] = []
    answers: list[Answer] = []
    carriers: list[int] = []
    skipped = 0
    # What comes before the first frame that has a channel goes with that one.
    carrier = 0
    names.update(dict.fromkeys([name for _, _, name in merged if _known(name)][:1], 0))
    for time, frame, name in merged:
        if frame.kind is Kind.HTTP:
            answer = _answer(frame, len(framed), venue)
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
    )


def _answer(frame: Frame, place: int, venue: Emulation | None) -> Answer | None:
    parts = urlsplit(frame.url or "")
    ask = venue.ask(parts.path, dict(parse_qsl(parts.query))) if venue else None
    if ask is None:
        telemetry.event("answer_unknown", telemetry.Level.WARNING, url=frame.url)
        return None
    return Answer(place, ask.asked, ask.symbol, frame.data)


def _unreadable(error: CaptureError) -> None:
    telemetry.event("capture_line_unreadable", telemetry.Level.WARNING, why=str(error))


def _read(path: Path, session: Session, any_host: bool) -> _Reel | None:
    frames = list(read_capture(path, _unreadable))
    connected = {urlsplit(frame.url or "").hostname or "" for frame in frames if frame.kind is Kind.CONNECT}
    if not any_host and connected and not connected & hosts(session):
        telemetry.event("capture_of_other_venue", telemetry.Level.WARNING, path=path, hosts=sorted(connected))
        return None
    heard = [frame for frame in frames if frame.kind in (Kind.RECV, Kind.HTTP)]
    received = [frame for frame in heard if frame.kind is Kind.RECV]
    routed = iter(route([frame.data for frame in received], session))
    channels = [next(routed) if frame.kind is Kind.RECV else "" for frame in heard]
    data = [frame.ts for frame, name in zip(heard, channels, strict=True) if _known(name)]
    if not data and not any_host:
        telemetry.event("capture_without_data", telemetry.Level.WARNING, path=path)
        return None
    if not data:
        raise CaptureError(path, 0, "no frame of it is data of this venue")
    return _Reel(path, heard, channels, min(data), max(data))


def route(payloads: Sequence[bytes], session: Session) -> list[str]:
    """The channel of each payload by the venue's routing; empty for control, `_unknown` for what is neither."""
    names = _route(payloads, session.routing)
    if session.symbol_routes:
        # Which symbol routes hold depends on the channels there are.
        names = _route(payloads, with_symbol_routes(session, dict.fromkeys(name for name in names if name)))
    shapes = ControlShapes(session)
    return [
        name or ("" if shapes.name(payload) else UNKNOWN_CHANNEL) for name, payload in zip(names, payloads, strict=True)
    ]


def _route(payloads: Sequence[bytes], routing: Routing) -> list[str]:
    # Here, since only replays need the kernel.
    from tapeline_kernel import Router

    router = Router(encode(routing), "EMULATOR", "PRIMARY", 1)
    names: list[str] = []
    for start in range(0, len(payloads), _BATCH):
        part = list(payloads[start : start + _BATCH])
        control = {place for place, _ in router.push(0, range(1, len(part) + 1), part)[0]}
        routed = iter(_channels(router.take()))
        names += ["" if place in control else next(routed) for place in range(len(part))]
    return names


def _channels(taken: tuple[int, int, bytes] | None) -> Iterable[str]:
    if taken is None:
        return []
    batch = ingest_pb2.SubscribeResponse.FromString(taken[2]).batch
    return [batch.channels[entry.channel].name for entry in batch.payloads]
