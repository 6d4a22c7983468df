"""`tapeline normalize`, `book`, `query`, `venues` as a user types them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import databento
import pytest

from tapeline.cli.main import main
from tests.oracle.capture import Line, lines, write
from tests.oracle.made import MADE, START, capture
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make

KEYS = ["payloads", "records", "rejected", "links", "checksums", "resyncs", "instruments", "seconds", "cpu_seconds"]
QUIET = pytest.mark.filterwarnings("ignore::Warning")  # databento's own use of pandas


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A small capture of Binance spot, across a gap."""
    return write(tmp_path / "made.jsonl.zst", capture("binance_spot", MADE["binance_spot"]()))


def normalized(
    capture: Path, capsys: pytest.CaptureFixture[str], venue: str = "binance_spot"
) -> tuple[Path, dict[str, object]]:
    target = capture.parent / "out.dbn.zst"
    assert main(["normalize", venue, str(capture), "-o", str(target), "--json"]) == 0
    account = json.loads(capsys.readouterr().out)
    assert isinstance(account, dict)
    return target, account


def test_normalize_tells_what_became_of_every_payload(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The account has the keys promised, in order, and adds up."""
    _, account = normalized(made, capsys)
    assert list(account)[: len(KEYS)] == KEYS
    assert account["payloads"] == len(MADE["binance_spot"]())
    assert account["records"] == {
        "mbo": 14,
        "mbp-1": 1,
        "mbp-10": 1,
        "trades": 4,
        "ohlcv-1m": 1,
        "status": 2,
        "definition": 2,
    }
    assert account["rejected"] == {}
    assert account["links"] == {"ok": 9, "broken": 1}
    assert (account["checksums"], account["resyncs"], account["instruments"]) == ({"ok": 0, "bad": 0}, 1, 2)
    assert account["control"] == {"connect": 1, "ack": 1, "shutdown": 1}
    assert account["excluded"] == {"candle still open": 1, "nothing to tell": 1, "repeated trade": 1}


@QUIET
def test_the_file_opens_with_databento(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stock store reads every schema of it, with symbols."""
    target, account = normalized(made, capsys)
    store = databento.DBNStore.from_file(target)
    assert store.metadata.version == 3
    assert store.dataset == "BINANCE_SPOT"
    assert sorted(store.symbols) == ["ABCUSDT", "BIGUSDT"]
    records = account["records"]
    assert isinstance(records, dict)
    for schema, count in records.items():
        frame = store.to_df(schema=schema)
        assert len(frame) == count
        assert set(frame["symbol"] if schema != "definition" else frame["raw_symbol"]) <= {"ABCUSDT", "BIGUSDT"}


def test_book_shows_the_last_state_exactly(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prices and sizes are decimals without trailing zeros; `--depth` cuts, and symbols not there are told of."""
    target, _ = normalized(made, capsys)
    assert main(["book", str(target), "ABCUSDT", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bids": [["10", "8"], ["9", "1"]], "asks": [["10.02", "3"]]}
    assert main(["book", str(target), "ABCUSDT", "--json", "--depth", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["bids"] == [["10", "8"]]
    assert main(["book", str(target), "NOPE"]) == 1
    assert capsys.readouterr().err == "tapeline: no symbol 'NOPE' in the file; it holds ABCUSDT, BIGUSDT\n"
    assert main(["book", str(target), "BIGUSDT"]) == 1
    assert "no book records (MBO) of BIGUSDT" in capsys.readouterr().err
    assert main(["book", str(target), "ABCUSDT", "--depth", "0"]) == 2


@pytest.mark.parametrize("venue", MADE)
def test_a_snapshot_finds_its_channel_before_any_delta_of_it(
    tmp_path: Path, venue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """REST answers that come first are routed by what the capture holds later; nothing is unknown."""
    said = capture(venue, MADE[venue]())
    answers = [line for line in said if line.kind == "http"]
    others = [line for line in said if line.kind != "http"]
    moved = write(tmp_path / "moved.jsonl.zst", [*others[:1], *answers, *others[1:]])
    _, account = normalized(moved, capsys, venue)
    assert account["rejected"] == {}


def test_what_is_no_frame_of_the_venue_is_rejected_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown frames, broken JSON, a REST answer of nobody, a line that is no frame: each counted once, by reason."""
    said = capture("binance_spot", MADE["binance_spot"]())
    stamp = said[-1].ts
    odd = [
        Line(stamp + 1, "recv", "0", '{"what":"is this"}', ""),
        Line(stamp + 2, "recv", "0", said[3].text[:40], ""),
        Line(stamp + 3, "http", "0", "{}", "https://api.binance.com/api/v3/ticker"),
        Line(stamp + 4, "recv", "0", '{"stream":"abcusdt@trade","data":{"e":"trade","s":"ABCUSDT","t":9,"p":"x"}}', ""),
    ]
    path = write(tmp_path / "odd.jsonl.zst", [*said, *odd])
    _, whole = normalized(write(tmp_path / "made.jsonl.zst", said), capsys)
    _, account = normalized(path, capsys)
    rejected = account["rejected"]
    assert isinstance(rejected, dict)
    assert sum(rejected.values()) == len(odd)
    assert account["records"] == whole["records"]


def test_a_capture_cut_short_gives_what_it_has(
    tmp_path: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands before the end is written, one line says what is wrong, the exit code is 1."""
    data = (recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst").read_bytes()
    short = tmp_path / "short.jsonl.zst"
    short.write_bytes(data[: len(data) // 2])
    code = main(["normalize", "kraken", str(short), "-o", str(tmp_path / "out.dbn.zst"), "--json"])
    told = capsys.readouterr()
    assert code == 1
    assert told.err.count("\n") == 1
    assert "cut short" in told.err
    account = json.loads(told.out)
    assert account["payloads"] > 0
    assert main(["book", str(tmp_path / "out.dbn.zst"), "BTC/USD", "--json"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["normalize", "nowhere", "x", "-o", "y"], 2, "unknown venue 'nowhere'"),
        (["normalize", "kraken", "missing.jsonl.zst", "-o", "y.dbn.zst"], 1, "No such file"),
        (["normalize", "kraken", "missing.jsonl.zst", "-o", "no/where/y.dbn.zst"], 2, "no directory no/where"),
        (["book", "missing.dbn.zst", "X"], 1, "No such file"),
        (["query", "SELECT 1", "--data-dir", "missing"], 1, "no tables in missing"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    """A wrong argument gives one clear line, the right exit code, and no file."""
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert says in told
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_capture_leaves_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing can be read of it, so nothing is written."""
    wrong = tmp_path / "wrong.jsonl.zst"
    wrong.write_bytes(b"this is no zstd")
    assert main(["normalize", "kraken", str(wrong), "-o", str(tmp_path / "out.dbn.zst")]) == 1
    assert capsys.readouterr().err.startswith(f"tapeline: cannot read {wrong}")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.jsonl.zst"]


def test_raw_partitions_normalise_as_the_capture_does(
    tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory of our own raw files gives the same bytes as the capture they come from, and so does a part of it."""
    target, account = normalized(made, capsys)
    direct = target.read_bytes()
    fill(tmp_path / "store", "binance_spot", made)
    again = tmp_path / "again.dbn.zst"
    assert main(["normalize", "binance_spot", str(tmp_path / "store"), "-o", str(again), "--json"]) == 0
    raw = json.loads(capsys.readouterr().out)
    assert [raw[name] for name in KEYS[1:7]] == [account[name] for name in KEYS[1:7]]
    assert _records(again) == _records(target) != b""
    assert direct
    (trades,) = (tmp_path / "store").rglob("channel=abcusdt%40trade/**/*.tsv.gz")
    assert main(["normalize", "binance_spot", str(trades), "-o", str(again), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == {"trades": 2, "definition": 1}


def _records(path: Path) -> bytes:
    import zstandard

    data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
    return data[8 + int.from_bytes(data[4:8], "little") :]


def test_raw_files_need_their_partition(tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A raw file taken out of its folders has no channel; two instances' files are not mixed."""
    fill(tmp_path / "store", "binance_spot", made)
    fill(tmp_path / "store", "binance_spot", made, "REPLICA")
    target = str(tmp_path / "out.dbn.zst")
    assert main(["normalize", "binance_spot", str(tmp_path / "store"), "-o", target]) == 1
    assert "PRIMARY and REPLICA; give the directory of one instance" in capsys.readouterr().err
    lonely = tmp_path / "1-1-1.tsv.gz"
    lonely.write_bytes(next((tmp_path / "store").rglob("*.tsv.gz")).read_bytes())
    assert main(["normalize", "binance_spot", str(lonely), "-o", target]) == 1
    assert "must lie in its partition's folders" in capsys.readouterr().err
    assert main(["normalize", "kraken", str(tmp_path / "store"), "-o", target]) == 1
    assert "no raw files of KRAKEN there" in capsys.readouterr().err


def test_a_broken_raw_file_costs_only_itself(tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other channels' rows are all there; the broken file is named and the exit code is 1."""
    fill(tmp_path / "store", "binance_spot", made)
    (trades,) = (tmp_path / "store").rglob("channel=abcusdt%40trade/**/*.tsv.gz")
    trades.write_bytes(trades.read_bytes()[:-20])
    target = tmp_path / "out.dbn.zst"
    assert main(["normalize", "binance_spot", str(tmp_path / "store"), "-o", str(target), "--json"]) == 1
    told = capsys.readouterr()
    assert str(trades) in told.err
    assert json.loads(told.out)["records"]["mbo"] == 14


@pytest.fixture
def data_dir(tmp_path: Path, made: Path) -> Path:
    """A data directory with the tables of the small capture."""
    fill(tmp_path / "data" / "store", "binance_spot", made)
    make(datetime.fromtimestamp(START // 10**9, UTC).date(), tmp_path / "data" / "store", tmp_path / "data" / "lake")
    return tmp_path / "data"


def test_query_answers_exactly(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Decimals are exact text and times are whole to the nanosecond, as JSON, CSV and table."""
    sql = "SELECT raw_symbol, price, size, from_unixtime_nanos(ts_recv) AS ts_recv, count(*) OVER () AS n FROM trades ORDER BY raw_sequence LIMIT 1"
    words = ["query", sql, "--data-dir", str(data_dir)]
    assert main([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"raw_symbol": "ABCUSDT", "price": "10.01", "size": "0.5", "ts_recv": "2025-10-09T08:53:20.01000001Z", "n": 4}
    ]
    assert main([*words, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "raw_symbol,price,size,ts_recv,n",
        "ABCUSDT,10.01,0.5,2025-10-09T08:53:20.01000001Z,4",
    ]
    assert main(words) == 0
    assert "(1 row)" in capsys.readouterr().out


def test_query_has_every_table(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`SHOW TABLES` lists them all, and none of them fails when it is empty."""
    assert main(["query", "SHOW TABLES", "--data-dir", str(data_dir), "--format", "json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert set(names) >= {
        "raw_payloads",
        "trades",
        "mbo",
        "mbp_1",
        "mbp_10",
        "ohlcv_1m",
        "statistics",
        "status",
        "definitions",
    }
    for name in names:
        assert main(["query", f"SELECT * FROM {name}", "--data-dir", str(data_dir), "--format", "json"]) == 0
        json.loads(capsys.readouterr().out)
    assert main(["query", "SELEKT", "--data-dir", str(data_dir)]) == 1
    assert capsys.readouterr().err.startswith("tapeline: only SELECT, WITH, SHOW, DESCRIBE and EXPLAIN are answered")


def test_the_data_directory_comes_from_the_settings(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--data-dir` it is TAPELINE_DATA_DIR."""
    monkeypatch.setenv("TAPELINE_DATA_DIR", str(data_dir))
    assert main(["query", "SELECT count(*) AS n FROM trades", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 4}]


def test_venues_are_listed_with_what_they_offer(capsys: pytest.CaptureFixture[str]) -> None:
    """Five venues, each with its number for ever."""
    assert main(["venues", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    numbers = {"binance_spot": 1, "binance_usdm": 2, "kraken": 3, "coinbase": 4, "deribit": 5}
    assert {name: rows[name]["number"] for name in numbers} == numbers
    assert rows["kraken"]["provider"] == "KRAKEN"
    assert "book.${symbol}" in rows["kraken"]["channels"]
    assert rows["binance_spot"]["transports"] == ["https", "wss"]
    assert main(["venues"]) == 0
    assert "book.{symbol}" in capsys.readouterr().out


def test_recorded_order_of_the_wire_is_kept(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every payload of a capture is accounted for: as data, as declared control, as excluded or as rejected."""
    path = recordings / "kraken" / "btcusd_v2_resync_20260801.jsonl.zst"
    said = [line for line in lines(path) if line.kind in ("recv", "http")]
    target = tmp_path / "out.dbn.zst"
    assert main(["normalize", "kraken", str(path), "-o", str(target), "--json"]) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["payloads"] == len(said) == 377
    control = sum(count for name, count in account["control"].items() if name not in ("connect", "send"))
    assert account["payloads"] - control == account["checksums"]["ok"]
