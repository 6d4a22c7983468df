"""What both engines say to the same text: functions, exact values, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapeline.cli.main import main
from tapeline.offline import answer_text
from tapeline.offline.answer_text import Value
from tapeline.sql.athena import Athena, AthenaRefusedError
from tapeline.sql.dialect import QueryRefusedError, checked
from tests.sql.conftest import Ask

pytestmark = pytest.mark.timeout(180)

NS = 1767225612345678901

FUNCTIONS: dict[str, Value] = {
    f"from_unixtime_nanos({NS})": "2026-01-01T00:00:12.345678901Z",
    "from_unixtime(1767225612)": "2026-01-01T00:00:12Z",
    f"date_trunc('minute', from_unixtime_nanos({NS}))": "2026-01-01T00:00:00Z",
    f"date_trunc('hour', from_unixtime_nanos({NS}))": "2026-01-01T00:00:00Z",
    "to_unixtime(from_unixtime(1767225612))": 1767225612.0,
    f"CAST(from_unixtime_nanos({NS}) AS DATE)": "2026-01-01",
    f"hour(from_unixtime_nanos({NS + 3_600_000_000_000}))": 1,
    "date_diff('minute', from_unixtime(0), from_unixtime(150))": 2,
    "from_utf8(to_utf8('Grüße 🚀'))": "Grüße 🚀",
    "from_utf8(from_base64('aGkJdGhlcmU='))": "hi\tthere",
    "from_base64('/w==')": "/w==",
    "to_hex(from_base64('/wE='))": "FF01",
    """json_extract_scalar('{"a":{"b":["x","y"]}}', '$.a.b[1]')""": "y",
    """json_extract_scalar('{"p":"61837.62000000"}', '$.p')""": "61837.62000000",
    "7 / 2": 3,
    "-7 % 4": -3,
    "CAST(7 AS DOUBLE) / 2": 3.5,
    "CAST(1.5 AS DECIMAL(38, 18))": "1.5",
    "CAST('99999999999999999999.999999999999999999' AS DECIMAL(38, 18))": "99999999999999999999.999999999999999999",
    "CAST('0.000000000000000001' AS DECIMAL(38, 18))": "0.000000000000000001",
    "CAST('18446744073709551615' AS DECIMAL(20, 0))": 18446744073709551615,
    "CAST(61837.62 AS DECIMAL(18, 9)) * CAST(0.5 AS DECIMAL(20, 8))": "30918.81",
    "CAST(2.345 AS DECIMAL(38, 2))": "2.35",
    "9223372036854775807": 9223372036854775807,
    "CAST(NULL AS BIGINT)": None,
    "1 < 2": True,
    "coalesce(NULL, 'x')": "x",
    "if(1 > 2, 'a', 'b')": "b",
    "regexp_like('btcusdt@trade', '^btc')": True,
    "split_part('a/b/c', '/', 2)": "b",
    "strpos('abc', 'c')": 3,
    "upper(substr('market', 1, 3)) || '!'": "MAR!",
    "bitwise_and(160, 32)": 32,
    "abs(CAST(-1.5 AS DECIMAL(38, 18)))": "1.5",
    "greatest(1, 3, 2)": 3,
}
"""Each the same in Athena and here; the answers are those of Trino's manual."""

OVER_ROWS: dict[str, list[Value]] = {
    "max_by(name, n)": [None],
    "min_by(name, n)": ["a"],
    "count_if(n > 1)": [2],
    "sum(n)": [6],
    "max(n)": [3],
    "approx_distinct(n)": [3],
    "approx_percentile(n, 0.5)": [2],
    "sum(n) FILTER (WHERE n > 1)": [5],
    "bool_or(n = 3)": [True],
    "array_join(array_agg(CAST(n AS VARCHAR) ORDER BY n), ',')": ["1,2,3"],
}


def test_functions_say_the_same(engine: Ask) -> None:
    """What Athena has is there on both, and gives the same value."""
    sql = "SELECT " + ", ".join(f"{function} AS f{number}" for number, function in enumerate(FUNCTIONS))
    assert dict(zip(FUNCTIONS, engine(sql).rows[0], strict=True)) == FUNCTIONS


def test_aggregates_say_the_same(engine: Ask) -> None:
    """Also where the row that is found has no value."""
    sql = "SELECT " + ", ".join(f"{function} AS f{number}" for number, function in enumerate(OVER_ROWS))
    rows = " FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL)) AS t (n, name)"
    assert dict(zip(OVER_ROWS, ([value] for value in engine(sql + rows).rows[0]), strict=True)) == OVER_ROWS


@pytest.mark.parametrize("form", [answer_text.as_json, answer_text.as_csv, answer_text.as_table])
def test_what_is_printed_is_the_same(form: object, day: Path, athena: Athena) -> None:
    """Every column of a trade and its payload, as JSON, CSV and table, letter for letter."""
    from tapeline.offline.lake import Lake
    from tapeline.sql.local import ask

    assert callable(form)
    for sql in (
        "SELECT * FROM trades WHERE day = DATE '2026-01-01' ORDER BY provider, ordinal LIMIT 20",
        "SELECT * FROM definitions ORDER BY provider, ordinal",
        "SELECT channel, payload, ts_recv FROM raw_payloads ORDER BY provider, channel, ordinal LIMIT 20",
        "SELECT * FROM ledger_gaps WHERE day = DATE '1999-01-01'",
    ):
        here = ask(Lake.at(day / "lake"), str(day / "store"), checked(sql))
        assert list(form(here)) == list(form(athena.ask(sql)))


def test_a_long_answer_comes_page_by_page(engine: Ask) -> None:
    """More rows than a page of Athena's holds, each once and in order."""
    answer = engine("SELECT ordinal, raw_symbol FROM mbo WHERE provider = 'BINANCE_SPOT' ORDER BY ordinal")
    assert len(answer.rows) > 800
    ordinals = [row[0] for row in answer.rows]
    assert ordinals == sorted(ordinals, key=str) or ordinals == sorted(set(ordinals), key=int)  # type: ignore[arg-type]
    many = engine(
        "SELECT a.ordinal FROM mbo a CROSS JOIN (VALUES (1), (2), (3), (4)) AS b (n) WHERE a.provider = 'KRAKEN'"
    )
    assert len(many.rows) > 2000


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE trades",
        "CREATE VIEW x AS SELECT 1",
        "INSERT INTO trades SELECT * FROM trades",
        "UNLOAD (SELECT 1) TO 's3://elsewhere/x'",
        "MSCK REPAIR TABLE trades_versions",
        "PREPARE p FROM SELECT 1",
        "COPY trades TO 'x'",
        "SELECT 1; DROP TABLE trades",
        "SELEKT 1",
        "SELECT FROM WHERE",
        "EXPLAIN ANALYZE DROP TABLE trades",
        "WITH x AS (DELETE FROM trades) SELECT 1",
        "",
    ],
)
def test_only_what_reads_is_answered(sql: str) -> None:
    """Anything else is refused before an engine sees it."""
    with pytest.raises(QueryRefusedError):
        checked(sql)


def test_athena_says_why_it_refuses(athena: Athena) -> None:
    """One line, with the reason Athena gives."""
    with pytest.raises(AthenaRefusedError, match="nowhere"):
        athena.ask("SELECT * FROM nowhere")


def test_an_interrupted_query_is_stopped(athena: Athena, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives up does not leave Athena at work."""
    stopped: list[dict[str, str]] = []
    monkeypatch.setattr(athena._client, "stop_query_execution", lambda **words: stopped.append(words))
    monkeypatch.setattr(athena._client, "get_query_execution", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        athena.ask("SELECT 1")
    assert [list(words) for words in stopped] == [["QueryExecutionId"]]


def _interrupted(**_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("missing", ["the service", "the keys"])
def test_an_athena_that_is_not_there_is_said_in_one_line(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No one answers, or no one knows who asks."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test") if missing == "the service" else monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TAPELINE_ATHENA_ENDPOINT", "http://127.0.0.1:9")
    assert main(["query", "--engine", "athena", "SELECT 1"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("tapeline: athena: ")
    assert told.count("\n") == 1


def test_the_tables_and_their_columns_are_told_here(day: Path, tmp_path: Path) -> None:
    """Also where there are no tables yet, and no raw store; a name that is none is refused."""
    from tapeline.offline.lake import Lake
    from tapeline.sql.local import ask

    empty = Lake.at(tmp_path / "lake")
    names = [row[0] for row in ask(empty, str(tmp_path / "none"), checked("SHOW TABLES")).rows]
    assert {"trades", "published", "raw_objects"} < set(names)
    for sql in ("DESCRIBE trades", 'describe "trades"', "SHOW COLUMNS FROM trades"):
        told = ask(empty, str(tmp_path / "none"), checked(sql)).rows
        assert ["price", "DECIMAL(38,18)"] in [row[:2] for row in told]
    assert ask(Lake.at(day / "lake"), "", checked("EXPLAIN SELECT count(*) FROM trades")).rows
    for sql in ("SHOW CREATE TABLE trades", "DESCRIBE (SELECT 1)", "SHOW PARTITIONS trades_versions"):
        with pytest.raises(QueryRefusedError):
            ask(empty, "", checked(sql))


def test_the_command_asks_either_engine(
    day: Path, athena: Athena, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same words but for `--engine`, the same text."""
    assert athena.database == "tapeline"
    monkeypatch.setenv("TAPELINE_LAKE", str(day / "lake"))
    words = ["query", "SELECT provider, version FROM published ORDER BY provider", "--format", "csv", "--engine"]
    told = []
    for engine in ("duckdb", "athena"):
        assert main([*words, engine]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert told[0].splitlines()[:2] == ["provider,version", "BINANCE_SPOT,1"]
    assert main(["query", "SHOW TABLES", "--engine", "athena", "--format", "json"]) == 0
    assert '"trades"' in capsys.readouterr().out
    assert main(["query", "DROP TABLE trades", "--engine", "athena"]) == 1
    assert "only SELECT" in capsys.readouterr().err
