"""The same in SQL: DuckDB over the same objects, a message for each different content of a channel, in order of receipt.

Content that comes again is taken for the same message, and the order is by two clocks that differ.
"""

from __future__ import annotations

import duckdb

_COLUMNS = "{epoch: 'BIGINT', sequence: 'BIGINT', connection: 'BIGINT', ts_recv: 'BIGINT', encoding: 'VARCHAR', payload: 'VARCHAR'}"


def coalesce(place: str, provider: str) -> list[int]:
    """Messages, and bytes of their payloads."""
    connection = duckdb.connect()
    connection.execute(
        f"""CREATE TABLE merged AS SELECT channel, min(ts_recv) AS ts_recv, payload
        FROM read_csv('{place}/instance=*/provider={provider}/**/*.tsv.gz', delim = '\t', quote = '', escape = '', header = false,
            auto_detect = false, max_line_size = 16000000, hive_partitioning = true, columns = {_COLUMNS})
        GROUP BY channel, payload ORDER BY channel, 2"""
    )
    row = connection.execute("SELECT count(*), sum(strlen(payload)) FROM merged").fetchone()
    assert row is not None
    return [int(value) for value in row]
