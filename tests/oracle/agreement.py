"""Runs the oracle and the kernel over the same capture and compares them record by record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from databento_dbn import DBNDecoder, InstrumentDefMsg, StatMsg
from tapeline_kernel import Normalizer

from tapeline.offline.feed import Feed
from tapeline.spec.encode import encode
from tapeline.venues import load
from tests.oracle.binance import Binance
from tests.oracle.bybit import Bybit
from tests.oracle.capture import lines
from tests.oracle.coinbase import Coinbase
from tests.oracle.deribit import Deribit
from tests.oracle.kraken import Kraken
from tests.oracle.okx import Okx
from tests.oracle.records import Published

Oracle = Binance | Kraken | Coinbase | Deribit | Okx | Bybit


def oracle(venue: str) -> Oracle:
    """The oracle of a venue."""
    makers: dict[str, Callable[[], Oracle]] = {
        "binance_spot": Binance,
        "binance_usdm": lambda: Binance(futures=True),
        "binance_coinm": lambda: Binance(coin=True),
        "kraken": Kraken,
        "coinbase": Coinbase,
        "deribit": Deribit,
        "okx": Okx,
        "bybit": Bybit,
    }
    return makers[venue]()


def expected(venue: str, path: Path, limit: int | None = None) -> Published:
    """What the oracle makes of a capture."""
    told = oracle(venue)
    for line in lines(path):
        if line.kind == "connect" or whole(line.text):
            told.scan(line)
    for line in lines(path, limit):
        if line.kind in ("recv", "http") and whole(line.text):
            told.feed(line)
    return told.out


def whole(text: str) -> bool:
    """Whether a payload is JSON at all; what is not changes nothing."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def published(venue: str, path: Path) -> tuple[bytes, Normalizer]:
    """What the kernel makes of a capture, as records back to back."""
    loaded = load(venue)
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn")
    return b"".join(kernel.normalize(batch).data for batch in Feed(loaded, "PRIMARY").capture(path)), kernel


def split(data: bytes) -> list[bytes]:
    """Records back to back as a list."""
    records, place = [], 0
    while place < len(data):
        size = data[place] * 4
        records.append(data[place : place + size])
        place += size
    return records


def told(record: bytes) -> dict[str, object]:
    """A record's fields by the stock decoder."""
    decoder = DBNDecoder(has_metadata=False, input_version=3)
    decoder.write(record)
    found: list[Any] = list(decoder.decode())
    names = [name for name, _ in type(found[0])._dtypes if not name.startswith("_")]
    if isinstance(found[0], InstrumentDefMsg | StatMsg):
        return {name: getattr(found[0], name, None) for name in names}
    return {"rtype": str(found[0].rtype), "all": str(found[0])}


def disagreement(data: bytes, wanted: Published) -> str:
    """The first record on which the two differ, told so that a person can judge; empty where there is none."""
    have = split(data)
    for place, (ours, theirs) in enumerate(zip(wanted.records, have, strict=False)):
        if ours != theirs:
            one, two = told(ours), told(theirs)
            differing = {name: (one.get(name), two.get(name)) for name in one | two if one.get(name) != two.get(name)}
            return f"record {place} of payload {wanted.sources[place]}: oracle, kernel: {differing}"
    if len(have) != len(wanted.records):
        place = min(len(have), len(wanted.records))
        longer, records = ("kernel", have) if len(have) > len(wanted.records) else ("oracle", wanted.records)
        return f"{len(wanted.records)} records expected, {len(have)} made; {longer} goes on with {told(records[place])}"
    return ""
