"""Captures and raw files as encoded batches, as a session manager would have sent them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tapeline_kernel import Router

from tapeline.captures import Frame, Kind, read_capture
from tapeline.errors import CaptureError
from tapeline.offline.answers import Answer, Answers, polled
from tapeline.offline.capture_router import CaptureRouter, channels_in, subscribed
from tapeline.offline.control import ACK, OPENING, ControlShapes
from tapeline.offline.raw_files import RawPayload
from tapeline.spec.encode import encode
from tapeline.venues import Venue

UNKNOWN_CHANNEL = "_unknown"
"""Where payloads go that neither a route nor a session rule takes."""

BATCH_PAYLOADS = 4096
BATCH_BYTES = 4 << 20


class Feed:
    """Counts what a source held, and gives it as batches; one for each source."""

    def __init__(self, venue: Venue, instance: str) -> None:
        self._venue = venue
        self._instance = instance
        self.payloads = 0
        """Everything the venue said: stream messages, REST answers and control frames."""
        self.control: Counter[str] = Counter()
        """Declared control frames and what is no payload at all (`connect`, `send`), by name."""
        self.unreadable: list[CaptureError] = []
        """Lines of a capture that are no frame."""
        self.span: tuple[int, int] | None = None
        """The first and the last `ts_recv`; None where there was no payload."""

    def capture(self, path: Path) -> Iterator[bytes]:
        """Batches of a capture; a line that cannot be read is noted and passed over, a file cut short raises at its end."""
        channels = self._channels(path)
        lines = self._lines(_first_stamp(path), channels)
        router = lines.router
        answers = Answers(self._venue.session, channels)
        shapes = ControlShapes(self._venue.session)
        try:
            for frame in read_capture(path, self.unreadable.append):
                self._take(lines, frame, answers, shapes)
                if router.open_payloads >= BATCH_PAYLOADS or router.open_bytes >= BATCH_BYTES:
                    yield from _closed(router)
        except CaptureError:
            yield from _closed(router)
            raise
        yield from _closed(router)

    def rows(self, payloads: Iterable[RawPayload]) -> Iterator[bytes]:
        """Batches of payloads that have their channel already; a new epoch is a new session."""
        router: Router | None = None
        epoch = -1
        for payload in payloads:
            if router is None or payload.row.epoch != epoch:
                yield from _closed(router)
                epoch = payload.row.epoch
                router = Router(encode(self._venue.session.routing), self._venue.provider, self._instance, epoch)
            row = payload.row
            self._count(row.ts_recv)
            router.inject(payload.channel, payload.schema, row.ts_recv, row.connection, row.payload)
            if router.open_payloads >= BATCH_PAYLOADS or router.open_bytes >= BATCH_BYTES:
                yield from _closed(router)
        yield from _closed(router)

    def _lines(self, epoch: int, channels: Iterable[str] = ()) -> CaptureRouter:
        return CaptureRouter(self._venue.session, self._venue.provider, self._instance, epoch, channels)

    def _take(self, lines: CaptureRouter, frame: Frame, answers: Answers, shapes: ControlShapes) -> None:
        if frame.kind in (Kind.CONNECT, Kind.SEND):
            self.control[frame.kind.value] += 1
            if frame.kind is Kind.CONNECT:
                lines.connect(frame)
            else:
                lines.send(frame)
                answers.asked(frame.connection, frame.data)
            return
        self._count(frame.ts)
        if frame.kind is Kind.HTTP:
            self._answer(lines, frame, answers.find(frame.url or "", frame.data), None)
            return
        text = lines.receive(frame)
        if text is None:
            return
        name = shapes.name(text)
        # The session logic, too, looks for what it has asked for before it takes a frame for an answer to a subscription.
        asked = answers.answered(frame.connection, text) if name in (None, ACK, OPENING) else None
        self._answer(lines, frame, asked, name)

    def _answer(self, lines: CaptureRouter, frame: Frame, answer: Answer | None, name: str | None) -> None:
        """A REST answer or a frame that no route takes: a channel's payload, a declared failure, control, or unknown."""
        connection = lines.connection(frame.connection)
        if answer is not None and answer.failed:
            self.control["rest error"] += 1
        elif answer is not None:
            lines.router.inject(answer.channel, answer.schema, frame.ts, connection, frame.data)
        elif name is not None:
            self.control[name] += 1
        else:
            lines.router.inject(UNKNOWN_CHANNEL, "", frame.ts, connection, frame.data)

    def _count(self, ts_recv: int) -> None:
        self.payloads += 1
        first, last = self.span or (ts_recv, ts_recv)
        self.span = (min(first, ts_recv), max(last, ts_recv))

    def _channels(self, path: Path) -> list[str]:
        """All channels of a capture: those it subscribes to or polls and those it has messages of, in order of appearance."""
        found: dict[str, None] = {}
        lines = self._lines(0)
        router = lines.router
        # What cannot be read is told by the second reading.
        with contextlib.suppress(CaptureError):
            for frame in read_capture(path, _pass_over):
                if frame.kind is Kind.CONNECT:
                    lines.connect(frame)
                elif frame.kind is Kind.SEND:
                    found.update(dict.fromkeys(subscribed(lines.send(frame))))
                elif frame.kind is Kind.HTTP and (channel := polled(self._venue.session, frame.url or "")):
                    found.setdefault(channel)
                elif frame.kind is Kind.RECV:
                    lines.receive(frame)
                    if router.open_payloads >= BATCH_PAYLOADS:
                        found.update(dict.fromkeys(channels_in(router)))
        found.update(dict.fromkeys(channels_in(router)))
        return list(found)


def _pass_over(_: CaptureError) -> None:
    """The second reading tells."""


def _closed(router: Router | None) -> Iterator[bytes]:
    taken = router.take() if router is not None else None
    if taken is not None:
        yield taken[2]


def _first_stamp(path: Path) -> int:
    frame = next(read_capture(path, _pass_over), None)
    return frame.ts if frame is not None else 0
