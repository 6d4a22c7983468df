"""The kernel's `split_batch` once more, in plain Python: what tests hold it against."""

from __future__ import annotations

from dataclasses import dataclass, field

from batch_processor.split import Run, Segment, Split
from tapeline.ingest.v1 import ingest_pb2
from tapeline.rawfile import encode_fields
from tapeline.stream import Position

DAY_NS = 86_400_000_000_000


def span_end(ts_recv: int, span_ns: int) -> int:
    """Where the span ends that a time falls in: the next multiple of `span_ns`, or midnight UTC before it."""
    return min((ts_recv // span_ns + 1) * span_ns, (ts_recv // DAY_NS + 1) * DAY_NS)


def split(response: bytes, position: Position | None, span_ns: int) -> Split:
    """Rows of every payload beyond a position (None: of all); raises protobuf's DecodeError."""
    read = ingest_pb2.SubscribeResponse.FromString(response)
    if read.HasField("gap"):
        return Split(read.gap.epoch, read.gap.from_sequence, read.gap.to_sequence, True, [])
    batch = read.batch
    epoch = batch.epoch
    after = position.sequence if position and position.epoch == epoch else 0
    channels = [(channel.name, channel.schema) for channel in batch.channels]
    segments: list[Segment] = []
    span: _OpenSpan | None = None
    for sequence, payload in enumerate(batch.payloads, batch.first_sequence):
        if sequence <= after:
            continue
        ts_recv = payload.ts_recv
        if span is None or not span.begin <= ts_recv < span.end:
            if span:
                segments.append(span.close(channels))
            span = _OpenSpan(ts_recv, span_end(ts_recv, span_ns), sequence)
        span.last = sequence
        run = span.runs.get(payload.channel)
        if run is None:
            run = span.runs[payload.channel] = _OpenRun(sequence)
        run.last = sequence
        run.rows.append(encode_fields(epoch, sequence, payload.connection, ts_recv, payload.data))
    if span:
        segments.append(span.close(channels))
    return Split(epoch, batch.first_sequence, batch.first_sequence + len(batch.payloads) - 1, False, segments)


@dataclass(slots=True)
class _OpenRun:
    first: int
    last: int = 0
    rows: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _OpenSpan:
    begin: int
    end: int
    first: int
    last: int = 0
    runs: dict[int, _OpenRun] = field(default_factory=dict)

    def close(self, channels: list[tuple[str, str]]) -> Segment:
        runs = [
            Run(*channels[index], run.first, run.last, len(run.rows), b"".join(run.rows))
            for index, run in self.runs.items()
        ]
        return Segment(self.end, self.first, self.last, self.begin, runs)
