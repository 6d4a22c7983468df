"""`tapeline tail`, and records as plain values."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tapeline.channels import ChannelName
from tapeline.cli.main import main
from tapeline.consumer.definitions import Definitions, Instrument
from tapeline.consumer.items import Message
from tapeline.consumer.layout import LAYOUTS
from tapeline.consumer.plain import exact_text, flag_names, plain, time_text
from tapeline.redis_server import URL_FILE
from tapeline.schemas import Schema
from tests.consumer.publishing import BOOK, TRADES, publishing, record

DEFINITION = "MARKET_DATA.PRIMARY.DEFINITION.X.BTC-USD"


def definition(lot: int = 100_000, factor: int = 10**9, symbol: str = "BTC-USD") -> bytes:
    row = np.frombuffer(record(1, schema=Schema.DEFINITION), LAYOUTS[Schema.DEFINITION].dtype).copy()
    row["raw_symbol"], row["unit_of_measure_qty"], row["display_factor"] = symbol.encode(), lot, factor
    return row.tobytes()


def trade(price: int, size: int, time: int = 1_700_000_000_000_000_001) -> bytes:
    row = np.frombuffer(record(time, schema=Schema.TRADES, action="T"), LAYOUTS[Schema.TRADES].dtype).copy()
    row["price"], row["size"] = price, size
    return row.tobytes()


@pytest.mark.parametrize(
    ("lot", "factor", "price", "size", "price_text", "size_text"),
    [
        (100_000, 10**9, 61_837_630_000_000, 12_345, "61837.63", "1.2345"),
        (1, 10**9, -1, 4_294_967_294, "-0.000000001", "4.294967294"),
        (10**12, 10**6, 123_456, 7, "0.000000123456", "7000"),
        (10**9, 10**9, (1 << 63) - 1, 10, None, "10"),
        (10**9, 10**9, 9_223_372_036_854_775_806, 0, "9223372036.854775806", "0"),
    ],
)  # fmt: skip
def test_numbers_are_exact_text(
    lot: int, factor: int, price: int, size: int, price_text: str | None, size_text: str
) -> None:
    """Prices and sizes come out digit for digit, whatever lot and display factor, and undefined as nothing."""
    known = Instrument(7, "A", lot, factor)
    assert exact_text(known.price(price)) == price_text
    assert exact_text(known.size(size)) == size_text


def test_a_record_without_its_instrument_tells_lots() -> None:
    """An unknown lot is not guessed."""
    row = np.frombuffer(trade(1_500_000_000, 3), LAYOUTS[Schema.TRADES].dtype)[0]
    told = plain(Schema.TRADES, row, None)
    assert (told["symbol"], told["price"], told["size"], told["size_lots"]) == (None, "1.5", None, 3)
    assert flag_names(0xB4) == ["LAST", "SNAPSHOT", "MBP", "MAYBE_BAD_BOOK"]
    assert time_text(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"


@pytest.mark.parametrize("schema", Schema)
def test_records_of_every_schema_are_plain(schema: Schema) -> None:
    """Each schema's record becomes plain JSON values under DBN's names."""
    row = np.zeros(1, LAYOUTS[schema].dtype)[0]
    told = plain(schema, row, Instrument(0, "A"))
    assert json.loads(json.dumps(told)) == told
    assert told["symbol"] == "A"
    assert not {"length", "rtype"} & told.keys()


async def test_definitions_are_read_when_they_are_needed(redis_url: str) -> None:
    """An instrument is found by its id from the late-join keys, and one that nobody defined is not."""
    channel = ChannelName.parse(TRADES)
    async with publishing(redis_url) as publisher, Definitions(redis_url) as definitions:
        await publisher.keep(DEFINITION, definition())
        assert await definitions.find(channel, 7) == Instrument(7, "BTC-USD", 100_000, 10**9)
        assert await definitions.find(channel, 8) is None
        definitions.take(Message(ChannelName.parse(DEFINITION), definition(symbol="NEW"), 0))
        found = await definitions.find(channel, 7)
        assert found is not None
        assert found.symbol == "NEW"


async def started(*words: str, **environment: str) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TAPELINE_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tapeline.cli.main", "tail", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**clean, **environment},
    )  # fmt: skip


async def tail(*words: str, **environment: str) -> tuple[int, list[str], str]:
    process = await started(*words, **environment)
    out, error = await process.communicate()
    return process.returncode or 0, out.decode().splitlines(), error.decode()


async def test_tail_prints_what_is_known_and_then_what_comes(redis_url: str) -> None:
    """The last known trade comes first, then live ones, in words or as JSON, and it ends after the count."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(DEFINITION, definition())
        await publisher.keep(TRADES, trade(61_837_630_000_000, 5_000))
        pattern = "MARKET_DATA.PRIMARY.TRADES.*"
        code, lines, _ = await tail(pattern, "--redis", redis_url, "--count", "1")
        assert (code, lines) == (
            0, ["2023-11-14T22:13:20.000000001Z PRIMARY X BTC-USD TRADES buy 0.5 @ 61837.63 [LAST]"],
        )  # fmt: skip
        process = await started(pattern, "--count", "2", "--json", TAPELINE_REDIS_URL=redis_url)
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode()]
        await publisher.publish(TRADES, trade(10**9, 1, time=1_700_000_000_000_000_002))
        lines += (await process.communicate())[0].decode().splitlines()
    first, second = map(json.loads, lines)
    assert process.returncode == 0
    assert (first["channel"], first["symbol"], first["price"], first["size"], first["snapshot"]) == (
        TRADES,
        "BTC-USD",
        "61837.63",
        "0.5",
        True,
    )
    assert (second["price"], second["size"], second["snapshot"], second["flags"]) == ("1", "0.0001", False, ["LAST"])


async def test_tail_finds_the_redis_of_a_running_up(redis_url: str, tmp_path: Path) -> None:
    """Without a URL it takes the one that a server of ours has left in the data directory."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(BOOK.replace("MBO", "MBP_1"), record(5, schema=Schema.MBP_1))
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / URL_FILE).write_text(redis_url + "\n")
    code, lines, error = await tail("*", "--count", "1", TAPELINE_DATA_DIR=str(tmp_path))
    assert (code, len(lines), error) == (0, 1, "")


def test_tail_tells_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No Redis known, none there, and a wrong count: one line each, and the right exit code."""
    monkeypatch.setenv("TAPELINE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TAPELINE_REDIS_URL", raising=False)
    assert main(["tail", "*"]) == 2
    assert main(["tail", "*", "--redis", "redis://127.0.0.1:1"]) == 1
    assert main(["tail", "*", "--redis", "nonsense"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("tapeline: ") for line in lines] == [True, True, True]
    assert "TAPELINE_REDIS_URL" in lines[0]
    assert "127.0.0.1:1" in lines[1]
    with pytest.raises(SystemExit) as end:
        main(["tail", "*", "--count", "0"])
    assert end.value.code == 2


async def test_tail_makes_one_stream_of_two_instances(redis_url: str) -> None:
    """With `--mode merge` both instances' trades come once each, as MERGED's, with the symbol either has defined."""
    async with publishing(redis_url) as publisher:
        await publisher.keep(DEFINITION, definition())
        for channel in (TRADES, TRADES.replace("PRIMARY", "REPLICA")):
            await publisher.keep(channel, trade(61_837_630_000_000, 5_000))
        pattern = "MARKET_DATA.MERGED.TRADES.*"
        process = await started(pattern, "--redis", redis_url, "--count", "2", "--mode", "merge")
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode()]
        for channel in (TRADES, TRADES.replace("PRIMARY", "REPLICA")):
            await publisher.publish(channel, trade(10**9, 1, time=1_700_000_000_000_000_002))
        lines += (await process.communicate())[0].decode().splitlines()
    assert [line.split()[1:6] for line in lines] == [["MERGED", "X", "BTC-USD", "TRADES", "buy"]] * 2
