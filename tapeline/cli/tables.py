"""`tapeline tables`: the tables and their columns, and what defines them in Athena and Glue."""

from __future__ import annotations

import argparse
import json
from datetime import date

HELP = "list the tables and their columns; print or run what defines them in Athena"
_SINCE = date(2017, 1, 1)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--ddl", action="store_true", help="print the statements that define them in Athena")
    what.add_argument("--glue", action="store_true", help="print them as Glue's TableInput, a JSON array")
    what.add_argument("--create", action="store_true", help="define them in Athena, anew where they are there")
    parser.add_argument(
        "--location", metavar="URL", help="the lake as Athena sees it, s3://bucket/prefix (default: TAPELINE_LAKE)"
    )
    parser.add_argument(
        "--raw", metavar="URL", help="the raw store, for the table raw_objects (default: TAPELINE_STORE)"
    )
    parser.add_argument("--database", metavar="NAME", help="the database (default: TAPELINE_ATHENA_DATABASE)")
    parser.add_argument(
        "--since",
        type=date.fromisoformat,
        default=_SINCE,
        metavar="DAY",
        help=f"the first day there is (default: {_SINCE})",
    )


def run(args: argparse.Namespace) -> int:
    """Does what was asked; the exit code."""
    if not (args.ddl or args.glue or args.create):
        return _list()
    from tapeline.errors import UsageError
    from tapeline.settings import Settings
    from tapeline.sql.ddl import Place, statements
    from tapeline.sql.glue import table_inputs

    settings = Settings.from_environment()
    location = args.location or settings.lake
    raw = args.raw or (settings.store if _on_s3(settings.store) else None)
    if not _on_s3(location) or (raw is not None and not _on_s3(raw)):
        raise UsageError(f"Athena reads from S3: {location or 'no location'} is not s3://bucket/prefix")
    place = Place.of(args.database or settings.athena_database, str(location), raw, args.since)
    if args.glue:
        print(json.dumps(table_inputs(place), indent=2))
    elif args.ddl:
        print("\n\n".join(f"{statement};" for statement in statements(place)))
    else:
        from tapeline.sql.athena import Athena

        engine = Athena(settings)
        for statement in statements(place, replace=True):
            engine.ask(statement)
        print(f"{place.database}: tables and views over {location}")
    return 0


def _on_s3(url: str | None) -> bool:
    return url is not None and url.startswith("s3://")


def _list() -> int:
    from tapeline.offline.tables import PARTITIONS, all_tables
    from tapeline.sql.ddl import hive_type

    for table in all_tables().values():
        columns = ", ".join(f"{c.name} {hive_type(c.type)}" for c in (*table.columns, *PARTITIONS))
        print(f"{table.name}: {table.about}\n  {columns}")
    return 0
