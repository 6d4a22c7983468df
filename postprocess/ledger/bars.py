"""One-minute bars built from trades, and the venue's own candles beside them: what an hour should have, and has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

MINUTE_NS = 60_000_000_000

_BARS = f"""
COPY (
    SELECT channel, raw_symbol, ts_event // {MINUTE_NS} * {MINUTE_NS} AS minute,
        arg_min(price, ordinal) FILTER (action <> 'C') AS open, max(price) FILTER (action <> 'C') AS high,
        min(price) FILTER (action <> 'C') AS low, arg_max(price, ordinal) FILTER (action <> 'C') AS close,
        CAST(sum(CASE action WHEN 'C' THEN -size ELSE size END) AS DECIMAL(38, 18)) AS volume,
        sum(CASE action WHEN 'C' THEN -1 ELSE 1 END)::BIGINT AS trades,
        min(ts_event) AS first_ts, max(ts_event) AS last_ts
    FROM read_parquet($rows) WHERE channel IS NOT NULL AND raw_symbol IS NOT NULL
    GROUP BY ALL ORDER BY ALL
) TO $target (FORMAT parquet, COMPRESSION zstd)
"""
"""A trade that was taken back (action C) leaves the volume; the trade itself stands before it."""

_CANDLES = """
COPY (
    SELECT raw_symbol, ts_event AS minute, arg_max(
        {'open': open, 'high': high, 'low': low, 'close': close, 'volume': volume, 'ts_recv': ts_recv}, ordinal
    ) AS said
    FROM read_parquet($rows) WHERE raw_symbol IS NOT NULL GROUP BY ALL ORDER BY raw_symbol, minute
) TO $target (FORMAT parquet, COMPRESSION zstd)
"""
"""Of a candle that is told again the last counts."""

_COMPARED = f"""
WITH candle AS (
    SELECT raw_symbol, minute, unnest(said) FROM (
        SELECT raw_symbol, minute, arg_max(said, said.ts_recv) AS said FROM candles GROUP BY ALL
    )
), asked AS (
    SELECT channel, raw_symbol, minute FROM bars
    UNION
    SELECT channel, raw_symbol, minute FROM candle JOIN (SELECT DISTINCT channel, raw_symbol FROM bars) USING (raw_symbol)
), compared AS (
    SELECT channel, minute,
        coalesce(bar.trades, 0) > 0 OR coalesce(candle.volume, 0) > 0 AS expected,
        coalesce(bar.trades, 0) > 0 AND (candle.volume IS NULL OR (
            bar.open = candle.open AND bar.high = candle.high AND bar.low = candle.low AND bar.close = candle.close
            AND bar.volume = candle.volume
        )) AS found
    FROM asked LEFT JOIN bars AS bar USING (channel, raw_symbol, minute) LEFT JOIN candle USING (raw_symbol, minute)
    WHERE minute >= greatest($first, (SELECT min(first_ts) FROM bars))
        AND minute + {MINUTE_NS} <= greatest(
            (SELECT max(last_ts) FROM bars) + 1, (SELECT max(minute) + {MINUTE_NS} FROM candle)
        )
)
SELECT channel, (minute // 3600000000000 % 24)::INTEGER AS hour, count(*) FILTER (expected), count(*) FILTER (expected AND found)
FROM compared GROUP BY ALL ORDER BY ALL
"""


class Bars(NamedTuple):
    """How many bars a channel's hour should have, and has."""

    channel: str
    hour: int
    expected: int
    found: int


def build_bars(
    trades: Sequence[Path], candles: Sequence[Path], bars_file: Path, candles_file: Path, memory_bytes: int
) -> None:
    """Bars of rows of `trades`, and the last word of rows of `ohlcv_1m`; files are only made where there are rows."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute(f"SET memory_limit = '{max(memory_bytes, 64 << 20)}B'")
        connection.execute("SET temp_directory = ?", [str(bars_file.parent / "spill")])
        for statement, rows, target in ((_BARS, trades, bars_file), (_CANDLES, candles, candles_file)):
            if rows:
                connection.execute(statement, {"rows": [str(path) for path in rows], "target": str(target)})


def compare_bars(bars: Sequence[Path], candles: Sequence[Path], first_ts: int) -> list[Bars]:
    """Each channel's hours, of the minutes that lie wholly in what was heard.

    That begins with the first payload (`first_ts`, ns, by our clock) and the first trade (by the venue's), and ends with the last
    trade or the end of the last candle, whichever is later: by the venue's clock, for ours may be another.
    """
    if not bars:
        return []
    with duckdb.connect() as connection:
        _view(connection, "bars", bars)
        if candles:
            _view(connection, "candles", candles)
        else:
            connection.execute("CREATE VIEW candles AS SELECT NULL::VARCHAR AS raw_symbol, NULL::BIGINT AS minute, "
                               "NULL::STRUCT(open DECIMAL(38, 18), high DECIMAL(38, 18), low DECIMAL(38, 18), "
                               "close DECIMAL(38, 18), volume DECIMAL(38, 18), ts_recv BIGINT) AS said WHERE false")  # fmt: skip
        found = connection.execute(_COMPARED, {"first": first_ts}).fetchall()
    return [Bars(*row) for row in found]


def _view(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> None:
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}])")
