"""`python -m benchmarks.cold.scale`: post-process of a synthetic day at one, two and four times a size, and how the cost grows.

The rate is always that of 200 million raw payloads in a whole day: a smaller size is the first part of such a day, so that
objects are as full and as many for each payload. Each size is made, processed, held against the truth it was made with,
and deleted again, so that the disk holds one at a time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cold.postprocessing import FailedError, How, process
from benchmarks.cold.results import FOLDER, Scale, Size, here, load, save
from benchmarks.cold.synthetic_day import DAY, Made, fill
from tapeline.errors import TapelineError
from tapeline.offline.lake import Lake, Manifest
from tapeline.offline.views import connect

_WHOLE_DAY = 200_000_000
_MINUTES = 1440
_FEWEST_MINUTES = 4
_ROW_DISK_BYTES = 120
"""At most on disk for each raw payload, store and lake together; a run that would not fit is not begun."""

_LOOK_SECONDS = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measures; 1 where something failed or the ledger is not what was put in."""
    parser = argparse.ArgumentParser(prog="scale", description=__doc__)
    parser.add_argument(
        "--payloads", type=int, default=1_000_000, metavar="N", help="raw payloads of both instances, of 1×"
    )
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument(
        "--task-memory", type=int, metavar="BYTES", help="TAPELINE_TASK_MEMORY_BYTES (default: its own)"
    )
    parser.add_argument("--executor", choices=("local", "spark"), default="local")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--results", type=Path, default=FOLDER, metavar="DIR", help="where the figures go (default: benchmarks/results)"
    )
    args = parser.parse_args(argv)
    scale = Scale(here())
    for times in sorted(args.times):
        try:
            with tempfile.TemporaryDirectory(dir=args.work) as folder:
                size = _measure(
                    Path(folder), times, args.payloads * times, How(args.executor, args.workers, args.task_memory)
                )
        except TapelineError as error:
            print(f"scale: {times}×: {error}", file=sys.stderr)
            return 1
        scale.sizes.append(size)
        _say(_told(size, scale.sizes[0]))
        # Kept after every size: a long run that is cut short has told what it knows.
        cold = load(args.results)
        cold.scale = scale
        save(cold, args.results)
    return 0 if all(size.as_made for size in scale.sizes) else 1


def _measure(home: Path, times: int, rows: int, how: How) -> Size:
    free = shutil.disk_usage(home).free
    if rows * _ROW_DISK_BYTES > free:
        raise FailedError(
            f"{rows:,} payloads may take {rows * _ROW_DISK_BYTES / 1e9:.0f} GB; {free / 1e9:.0f} GB are free"
        )
    minutes = min(max(-(-_MINUTES * rows // _WHOLE_DAY), _FEWEST_MINUTES), _MINUTES)
    store, data = home / "store", home / "data"
    data.mkdir()
    made = fill(store, rows, minutes=minutes, workers=how.workers)
    _say(
        f"{times}×: {made.rows:,} raw payloads in {made.objects:,} objects made in {made.seconds:.0f} s; post-process runs"
    )
    with _watched(data) as most:
        spent = process(DAY, store, data, how)
    lake = Lake.under(data)
    manifests = lake.current()
    by_table = _by_table(manifests)
    return Size(
        times=times,
        minutes=minutes,
        rows=made.rows,
        payloads=made.payloads,
        records=_records(manifests),
        objects=made.objects,
        in_bytes=made.object_bytes,
        row_bytes=made.row_bytes,
        out_bytes=sum(by_table.values()),
        out_by_table=by_table,
        work_bytes=most[0],
        workers=how.workers,
        executor=how.executor,
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        peak_bytes=spent.peak_bytes,
        peak_each=list(spent.peak_each),
        made_seconds=made.seconds,
        made_cpu_seconds=made.cpu_seconds,
        as_made=_as_made(lake, made),
    )


@contextmanager
def _watched(folder: Path) -> Iterator[list[int]]:
    """The most bytes that lie in a folder at once, looked at now and then."""
    most, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            most[0] = max(most[0], _bytes_in(folder))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()
        most[0] = max(most[0], _bytes_in(folder))


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue  # intermediate, and done with
    return total


def _by_table(manifests: list[Manifest]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for manifest in manifests:
        for name, files in manifest.tables.items():
            found[name] += sum(file.size for file in files)
        for schema, files in manifest.dbn.items():
            found[f"{schema}.dbn.zst"] += sum(file.size for file in files)
    return dict(found)


def _records(manifests: list[Manifest]) -> int:
    return sum(file.rows for manifest in manifests for files in manifest.dbn.values() for file in files)


def _as_made(lake: Lake, made: Made) -> bool:
    """Whether the ledger tells of each channel and hour what was put in, and nothing was rejected."""
    sql = "SELECT provider, channel, hour, primary_only, replica_only, in_both, rejected FROM ledger"
    told = {(row[0], row[1], row[2]): row[3:] for row in connect(lake).execute(sql).fetchall()}
    put = {
        (truth.provider, channel, hour): (held.primary_only, held.replica_only, held.in_both, 0)
        for truth in made.providers
        for channel, hours in truth.channels.items()
        for hour, held in hours.items()
    }
    return told == put


def _told(size: Size, first: Size) -> str:
    linear = size.cpu_seconds / first.cpu_seconds / (size.rows / first.rows)
    return (
        f"{size.times}×: {size.seconds:.1f} s, {size.cpu_seconds / size.rows * 1e6:.2f} CPU-s per million, "
        f"{size.rows / size.cpu_seconds:,.0f} payloads/s per core, most memory {size.peak_bytes / 1e6:,.0f} MB "
        f"(each: {', '.join(f'{one / 1e6:,.0f}' for one in size.peak_each[:4])}), {linear:.2f} of linear, "
        f"out {size.out_bytes / 1e6:,.0f} MB, ledger {'as made' if size.as_made else 'NOT AS MADE'}"
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
