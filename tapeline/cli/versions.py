"""`tapeline versions`: the versions of a published day; going back to one, dropping one, sweeping up what was left over."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from tapeline.offline.versions import Version

HELP = "list the versions of a published day, go back to one, or drop what is not wanted"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("day", metavar="DAY", nargs="?", help="the UTC day, as 2026-08-02; --sweep alone goes over all")
    parser.add_argument("--provider", metavar="P", help="list this provider's only")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--publish", metavar="P=N", help="make version N of provider P the one that counts")
    act.add_argument("--drop", metavar="P=N", help="remove version N of provider P for good")
    act.add_argument("--sweep", action="store_true", help="remove files that belong to no version")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory (default: TAPELINE_DATA_DIR)")
    parser.add_argument("--json", action="store_true", help="list as JSON")


def run(args: argparse.Namespace) -> int:
    """Lists or does what was asked; the exit code."""
    from tapeline.cli._days import day_of
    from tapeline.errors import UsageError
    from tapeline.objectstore import open_store
    from tapeline.offline import answer_text
    from tapeline.offline.lake import LAKE, Lake
    from tapeline.offline.versions import VersionError, days_of, drop_version, publish_version, sweep, versions_of
    from tapeline.settings import Settings

    settings = Settings.from_environment()
    place = str(args.data_dir / LAKE) if args.data_dir else settings.lake_url
    lake = Lake(open_store(place, must_exist=True), place)
    if args.sweep:
        for day in [day_of(args.day)] if args.day else days_of(lake):
            for version in sweep(lake, day):
                gone = version.strays or version.files
                print(f"{day}  {version.name}: {len(gone)} files removed, {_size(sum(gone.values()))}")
        return 0
    if not args.day:
        raise UsageError("of which day? `tapeline versions DAY`")
    day = day_of(args.day)
    if args.publish:
        publish_version(lake, day, *_named(args.publish))
        print(f"{day}  {args.publish.upper()} counts")
    elif args.drop:
        version = drop_version(lake, day, *_named(args.drop))
        print(f"{day}  {version.name}: {len(version.files)} files removed, {_size(sum(version.files.values()))}")
    else:
        provider = args.provider.upper() if args.provider else None
        found = [version for version in versions_of(lake, day) if provider in (None, version.provider)]
        if not found and not args.json:
            raise VersionError(f"no versions of {day}" + (f" and {provider}" if provider else ""))
        write = answer_text.as_json if args.json else answer_text.as_table
        for line in write(answer_text.of_arrow(_table(found, args.json))):
            print(line)
    return 0


def _named(text: str) -> tuple[str, int]:
    from tapeline.errors import UsageError

    provider, _, number = text.partition("=")
    if not provider or not (number.isascii() and number.isdecimal()):
        raise UsageError(f"{text!r} names no version; it is written KRAKEN=2")
    return provider.upper(), int(number)


def _table(versions: list[Version], whole: bool) -> pa.Table:
    """A row for each version; times and digests in short, or whole for machines."""
    import pyarrow as pa

    digest = 64 if whole else 8
    made = [version.made for version in versions]
    manifests = [version.manifest for version in versions]
    columns = {
        "provider": [version.provider for version in versions],
        "version": [version.number for version in versions],
        "standing": [version.standing.value for version in versions],
        "made": pa.array([m.at if m else None for m in made], pa.timestamp("ns", "UTC")),
        "rows": [sum(file.rows for files in m.tables.values() for file in files) if m else None for m in manifests],
        "files": [len(version.files) for version in versions],
        "bytes": [sum(version.files.values()) for version in versions],
        "raw_objects": [m.counts.get("raw_objects") if m else None for m in manifests],
        "mapping": [m.made_of.get("mapping", "")[:digest] if m else None for m in manifests],
        "kernel": [m.made_of.get("kernel") if m else None for m in manifests],
        "unit_peak_bytes": [m.peak_rss_bytes if m else None for m in made],
    }
    if not whole:
        columns["made"] = columns["made"].cast(pa.timestamp("s", "UTC"), safe=False)
    return pa.table(columns)


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,} {unit}"
        count //= 1000
    return f"{count:,} TB"
