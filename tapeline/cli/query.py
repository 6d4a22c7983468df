"""`tapeline query`: one SQL over the tables, answered here by DuckDB or by Athena."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "answer SQL over the tables, here or by Athena"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "sql", metavar="SQL", help="Athena's SQL, whichever engine answers; `SHOW TABLES` lists the tables"
    )
    parser.add_argument(
        "--engine", choices=("duckdb", "athena"), default="duckdb", help="who answers: DuckDB here (default), or Athena"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="the data directory (default: TAPELINE_LAKE, else TAPELINE_DATA_DIR)",
    )
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table", help="how to print the answer")


def run(args: argparse.Namespace) -> int:
    """Prints the answer; the exit code."""
    from tapeline.offline import answer_text
    from tapeline.offline.lake import Lake
    from tapeline.settings import Settings
    from tapeline.sql.dialect import checked

    settings = Settings.from_environment()
    write = {"table": answer_text.as_table, "json": answer_text.as_json, "csv": answer_text.as_csv}[args.format]
    sql = checked(args.sql)
    if args.engine == "athena":
        from tapeline.sql.athena import Athena

        answer = Athena(settings).ask(sql)
    else:
        from tapeline.sql.local import ask

        if args.data_dir is None and settings.lake is not None:
            lake = Lake.at(settings.lake)
        else:
            lake = Lake.under(args.data_dir or settings.data_dir)
        raw = settings.store or str((args.data_dir or settings.data_dir) / "store")
        answer = ask(lake, raw, sql)
    for line in write(answer):
        print(line)
    return 0
