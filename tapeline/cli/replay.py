"""`tapeline replay`: history, published as a feed."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapeline.history.choice import Choice
    from tapeline.history.lake_files import LakeFiles
    from tapeline.history.player import Played, Streams
    from tapeline.history.span import Span

HELP = "publish history as a feed, as it came"

_TOLD_SECONDS = 0.5
_INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.description = (
        "Publish the canonical history of a span on MARKET_DATA.REPLAY.<schema>.<provider>.<channel>, so that a consumer"
        " runs unchanged on yesterday."
    )
    parser.add_argument(
        "patterns",
        nargs="+",
        metavar="PATTERN",
        help="a Redis glob over channels, such as 'MARKET_DATA.REPLAY.TRADES.*' or shorter 'TRADES.KRAKEN.*'",
    )
    parser.add_argument("--from", dest="start", required=True, metavar="T", help="2026-08-02T14:30, UTC, or ns")
    parser.add_argument("--to", dest="end", required=True, metavar="T", help="the end, which is not part of it")
    parser.add_argument("--speed", default="1", metavar="N", help="times as fast as it came; 0 or max: without waiting (default: 1)")  # fmt: skip
    parser.add_argument("--raw", action="store_true", help="normalize the raw payloads anew instead of taking canonical records")  # fmt: skip
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory (default: TAPELINE_DATA_DIR)")
    parser.add_argument("--lake", metavar="URL", help="where the tables are (default: TAPELINE_LAKE, else in the data directory)")  # fmt: skip
    parser.add_argument("--redis", metavar="URL", help="default: TAPELINE_REDIS_URL, else the Redis of a running `tapeline up`")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replays to the end, or until interrupted; the exit code."""
    import uvloop

    from tapeline.cli._redis import redis_url
    from tapeline.history.choice import NothingThereError, choose
    from tapeline.history.lake_files import LakeFiles
    from tapeline.history.places import lake_of
    from tapeline.history.schedule import speed_of
    from tapeline.history.span import Span, iso

    span = Span.parse(args.start, args.end)
    speed = speed_of(args.speed)
    lake = lake_of(args.lake, args.data_dir)
    url = redis_url(args.redis)
    files = LakeFiles(lake)
    choice = choose(lake, files, span, args.patterns)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        played = runner.run(_play(url, choice, _streams(args.raw, choice, files), span, speed))
    if not played.records and not played.stopped:
        raise NothingThereError(f"those channels have nothing from {iso(span.start)} to {iso(span.end)}")
    if args.json:
        print(json.dumps(dataclasses.asdict(played)))
    else:
        print(_summary(played, choice, speed))
    return _INTERRUPTED if played.stopped else 0


def _streams(raw: bool, choice: Choice, files: LakeFiles) -> Streams:
    if raw:
        from tapeline.history.raw import raw_streams
        from tapeline.settings import Settings

        return raw_streams(files, choice, Settings.from_environment().task_memory_bytes)
    from tapeline.history.canonical import stream

    return lambda day: [stream(files, unit.part, unit.numbers) for unit in day.units]


async def _play(url: str, choice: Choice, streams: Streams, span: Span, speed: float) -> Played:
    from tapeline.history.player import Player, moment_ns, sets
    from tapeline.history.schedule import MonotonicClock
    from tapeline.redis_link import checked_place
    from tapeline.settings import Settings

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = Settings.from_environment()
    progress = _Progress()
    player = Player(
        checked_place(url),
        choice,
        MonotonicClock(),
        speed,
        start=span.start,
        flush_seconds=settings.flush_seconds,
        buffer_bytes=settings.publish_buffer_bytes,
        heard=progress.hear,
    )
    started = time.monotonic()
    try:
        played = await player.run(sets(choice, streams, span, moment_ns(speed)), stop)
    finally:
        progress.end()
    played.seconds = round(time.monotonic() - started, 3)
    return played


class _Progress:
    """A line on a terminal that says how far it has come."""

    def __init__(self) -> None:
        self._next = 0.0 if sys.stderr.isatty() else float("inf")
        self._shown = False

    def hear(self, played: Played) -> None:
        from tapeline.history.span import iso

        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _TOLD_SECONDS
        self._shown = True
        behind = f", {played.behind_ns / 1e6:.1f} ms behind" if played.behind_ns else ""
        line = f"{iso(played.at)}  {played.messages:,} messages, {played.records:,} records{behind}"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _summary(played: Played, choice: Choice, speed: float) -> str:
    from tapeline.history.schedule import MAX
    from tapeline.history.span import iso

    channels = sum(choice.channels.published)
    rate = played.records / played.seconds if played.seconds else 0.0
    pace = f"{rate:,.0f} records/s" if speed == MAX else f"at most {played.most_behind_ns / 1e6:,.1f} ms late"
    done = "stopped at" if played.stopped else "played to"
    return (
        f"{done} {iso(played.at)}: {played.messages:,} messages, {played.records:,} records on {channels} channels"
        f" in {played.seconds:,.1f} s, {pace}"
    )
