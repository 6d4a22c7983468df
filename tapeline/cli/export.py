"""`tapeline export`: a symbol's records of a span as a DBN, Parquet or CSV file."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

HELP = "write a symbol's records of a span to a DBN, Parquet or CSV file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--symbol", required=True, metavar="S", help="the venue's own symbol, such as BTCUSDT")
    parser.add_argument("--provider", metavar="P", help="whose, such as BINANCE_SPOT, where several have the symbol")
    parser.add_argument("--schema", required=True, metavar="SCHEMA", help="trades, mbo, mbp-1, mbp-10, ohlcv-1m, …")
    parser.add_argument("--from", dest="start", required=True, metavar="T", help="2026-08-02T14:30, UTC, or ns; of receipt")  # fmt: skip
    parser.add_argument("--to", dest="end", required=True, metavar="T", help="the end, which is not part of it")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".dbn, .dbn.zst, .parquet, .csv or .csv.gz")  # fmt: skip
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory (default: TAPELINE_DATA_DIR)")
    parser.add_argument("--lake", metavar="URL", help="where the tables are (default: TAPELINE_LAKE, else in the data directory)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print what was written as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Writes the file and says what is in it; the exit code."""
    from tapeline.history.export import export
    from tapeline.history.places import lake_of
    from tapeline.history.span import Span
    from tapeline.history.symbol import schema_of

    span = Span.parse(args.start, args.end)
    schema = schema_of(args.schema)
    done = export(lake_of(args.lake, args.data_dir), schema, args.symbol, args.provider, span, args.output)
    if args.json:
        print(json.dumps(dataclasses.asdict(done)))
    else:
        print(
            f"{done.rows:,} {schema.dbn} records of {args.symbol} ({done.provider}) in {args.output}: {done.bytes:,} bytes,"
            f" {done.groups_read} of {done.groups} row groups read"
        )
    return 0
