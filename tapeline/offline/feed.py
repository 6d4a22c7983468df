"""Captures and raw files as encoded batches, as a session manager would have sent them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tapeline_kernel import Router

from tapeline.captures import Frame, Kind, read_capture
from tapeline.errors import CaptureError
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.offline.answers import RestChannels
from tapeline.offline.control import ControlShapes
from tapeline.offline.raw_files import RawPayload
from tapeline.spec import subscribe
from tapeline.spec.encode import encode
from tapeline.spec.routing import Routing
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
        router = self._router(subscribe.routing(self._venue.session, channels), _first_stamp(path))
        answers = RestChannels(self._venue.session, channels)
        shapes = ControlShapes(self._venue.session)
        connections: dict[str, int] = {}
        try:
            for frame in read_capture(path, self.unreadable.append):
                connection = connections.setdefault(frame.connection, len(connections))
                self._take(router, frame, connection, answers, shapes)
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
                router = self._router(self._venue.session.routing, epoch)
            row = payload.row
            self._count(row.ts_recv)
            router.inject(payload.channel, payload.schema, row.ts_recv, row.connection, row.payload)
            if router.open_payloads >= BATCH_PAYLOADS or router.open_bytes >= BATCH_BYTES:
                yield from _closed(router)
        yield from _closed(router)

    def _router(self, routing: Routing, epoch: int) -> Router:
        return Router(encode(routing), self._venue.provider, self._instance, epoch)

    def _take(
        self, router: Router, frame: Frame, connection: int, answers: RestChannels, shapes: ControlShapes
    ) -> None:
        if frame.kind in (Kind.CONNECT, Kind.SEND):
            self.control[frame.kind.value] += 1
            return
        self._count(frame.ts)
        if frame.kind is Kind.HTTP:
            answer = answers.find(frame.url or "", frame.data)
            if answer is None:
                router.inject(UNKNOWN_CHANNEL, "", frame.ts, connection, frame.data)
            elif answer.failed:
                self.control["rest error"] += 1
            else:
                router.inject(answer.channel, answer.schema, frame.ts, connection, frame.data)
            return
        for _, left in router.push(connection, (frame.ts,), (frame.data,))[0]:
            name = shapes.name(left)
            if name is None:
                router.inject(UNKNOWN_CHANNEL, "", frame.ts, connection, left)
            else:
                self.control[name] += 1

    def _count(self, ts_recv: int) -> None:
        self.payloads += 1
        first, last = self.span or (ts_recv, ts_recv)
        self.span = (min(first, ts_recv), max(last, ts_recv))

    def _channels(self, path: Path) -> list[str]:
        """All channels of a capture: those it subscribes to and those it has messages of, in order of appearance."""
        found: dict[str, None] = {}
        router = self._router(self._venue.session.routing, 0)
        # What cannot be read is told by the second reading.
        with contextlib.suppress(CaptureError):
            for frame in read_capture(path, _pass_over):
                if frame.kind is Kind.SEND:
                    command = subscribe.command(self._venue.session, frame.data)
                    if command is not None and command.operation is subscribe.Operation.SUBSCRIBE:
                        found.update(dict.fromkeys(command.channels))
                elif frame.kind is Kind.RECV:
                    router.push(0, (frame.ts,), (frame.data,))
                    if router.open_payloads >= BATCH_PAYLOADS:
                        found.update(dict.fromkeys(_named(router)))
        found.update(dict.fromkeys(_named(router)))
        return list(found)


def _pass_over(_: CaptureError) -> None:
    """The second reading tells."""


def _named(router: Router) -> Iterator[str]:
    for batch in _closed(router):
        yield from (channel.name for channel in SubscribeResponse.FromString(batch).batch.channels)


def _closed(router: Router | None) -> Iterator[bytes]:
    taken = router.take() if router is not None else None
    if taken is not None:
        yield taken[2]


def _first_stamp(path: Path) -> int:
    frame = next(read_capture(path, _pass_over), None)
    return frame.ts if frame is not None else 0
