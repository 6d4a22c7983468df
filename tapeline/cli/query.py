"""`tapeline query`: SQL over the tables of a data directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from tapeline.errors import TapelineError

HELP = "answer SQL over the tables of a data directory"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("sql", metavar="SQL", help="DuckDB's SQL; `SHOW TABLES` lists the tables")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory (default: TAPELINE_DATA_DIR)")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table", help="how to print the answer")


def run(args: argparse.Namespace) -> int:
    """Prints the answer; the exit code."""
    import duckdb

    from tapeline.offline import answer_text
    from tapeline.offline.lake import Lake
    from tapeline.offline.views import connect
    from tapeline.settings import Settings

    lake = Lake.under(args.data_dir or Settings.from_environment().data_dir)
    write = {"table": answer_text.as_table, "json": answer_text.as_json, "csv": answer_text.as_csv}[args.format]
    with connect(lake) as connection:
        try:
            table = connection.sql(args.sql).to_arrow_table()
        except AttributeError:
            return 0  # a statement without an answer gives None, whatever the types say
        except duckdb.Error as error:
            raise TapelineError(f"query failed: {error}") from None
    for line in write(table):
        print(line)
    return 0
