"""`python -m tests.soak.listener`: a consumer of MERGED that keeps the identity of every message it is given."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter, defaultdict
from pathlib import Path
from urllib.parse import quote

from tapeline.channels import ChannelName
from tapeline.consumer import Consumer, Hole, Message
from tapeline.consumer.layout import LAYOUTS
from tapeline.identity import of_records
from tapeline.process import cancel, first_of, run
from tapeline.schemas import Schema
from tapeline.telemetry import StatsPrinter, event, ready

KEY_BYTES = 8
"""Of an identity's 16: what two of a billion messages share by chance with one in thirty."""
F_SNAPSHOT = 0x20
_FLUSH_BYTES = 1 << 16


class Keys:
    """The messages of one channel, in order; snapshots only counted."""

    def __init__(self, name: ChannelName) -> None:
        self.schema = name.schema
        self._flags = 36 if self.schema is Schema.MBO else 0
        self.snapshots = 0
        self.messages = 0
        self.fresh = bytearray()

    def take(self, data: bytes) -> None:
        """Whole records."""
        place = 0
        for key, size in of_records(self.schema, data):
            if self._flags and data[place + self._flags] & F_SNAPSHOT:
                self.snapshots += 1
            else:
                self.fresh += key[:KEY_BYTES]
                self.messages += 1
            place += size


class Book:
    """What was received, by channel, a file each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.channels: dict[ChannelName, Keys] = {}
        self.records = 0
        self.late_join = 0
        self.holes: Counter[str] = Counter()

    def take(self, item: Message | Hole) -> None:
        """A message or a hole."""
        if isinstance(item, Hole):
            # `*` where all of the connection is concerned.
            self.holes[(item.pattern.split(".") + ["*"] * 5)[3]] += 1
            event("hole", pattern=item.pattern, reason=item.reason.value, from_ns=item.from_ns, to_ns=item.to_ns)
            return
        if item.snapshot:
            self.late_join += 1
            return
        keys = self.channels.get(item.channel)
        if keys is None:
            keys = self.channels[item.channel] = Keys(item.channel)
        self.records += len(item.data) // LAYOUTS[keys.schema].stride
        keys.take(item.data)
        if len(keys.fresh) > _FLUSH_BYTES:
            self._flush(item.channel, keys)

    def close(self) -> None:
        """Writes what is left."""
        for name, keys in self.channels.items():
            self._flush(name, keys)

    def snapshots(self) -> dict[str, int]:
        """Books that came within the stream, by provider."""
        found: dict[str, int] = defaultdict(int)
        for name, keys in self.channels.items():
            found[name.provider] += keys.snapshots
        return found

    def _flush(self, name: ChannelName, keys: Keys) -> None:
        with file_of(self._folder, name).open("ab") as file:
            file.write(keys.fresh)
        keys.fresh.clear()


def file_of(folder: Path, name: ChannelName) -> Path:
    """Where a channel's identities are."""
    return folder / quote(name.format(), safe="")


async def _serve(args: argparse.Namespace, stop: asyncio.Event) -> None:
    book = Book(args.out)
    pattern = "MARKET_DATA.MERGED.*"
    async with Consumer(args.redis, [pattern], buffer_bytes=256 << 20, listeners=2) as consumer:

        async def follow() -> None:
            async for items in consumer.batches():
                for item in items:
                    book.take(item)

        def told() -> dict[str, object]:
            return {
                "records": book.records, "holes": dict(book.holes), "reconnects": consumer.counts.reconnects,
                "repeats": consumer.counts.repeats, "snapshots": book.snapshots(), "late_join": book.late_join,
            }  # fmt: skip

        task = asyncio.create_task(follow())
        try:
            async with StatsPrinter(told):
                ready()
                await first_of(stop, task)
        finally:
            await cancel(task)
            book.close()


def main() -> int:
    """Runs until SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.soak.listener", description=__doc__)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    return run("listener", lambda stop: _serve(args, stop))


if __name__ == "__main__":
    sys.exit(main())
