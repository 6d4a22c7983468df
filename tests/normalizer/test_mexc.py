"""MEXC by hand: protobuf made by Google's own encoder, ranges against REST, refusals with code 0."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from databento_dbn import InstrumentDefMsg, MBOMsg, MBP1Msg, TradeMsg
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from tapeline.offline.control import ControlShapes
from tapeline.offline.dbn_file import read_records
from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.offline.normalizing import Account, normalize_file
from tapeline.spec.decoding import Protobuf, ProtoKind
from tapeline.venues import load
from tests.support.told import START, told

REST = "https://api.mexc.com/api/v3"
MS = 1_780_000_000_000
DEPTH = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
DEALS = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
TICKER = "spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT"


def wrapper() -> type[Message]:
    """Google's class for the venue's messages, built from the meaning half's own field list."""
    schema = load("mexc").meaning.decoder
    assert isinstance(schema, Protobuf)
    file = descriptor_pb2.FileDescriptorProto(name="mexc_test.proto", package="t", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for entry in schema.messages:
        made = file.message_type.add(name=entry.name)
        for field in entry.fields:
            told_of = made.field.add(name=field.name, number=field.number)
            told_of.label = kinds.LABEL_REPEATED if field.repeated else kinds.LABEL_OPTIONAL
            told_of.type = {ProtoKind.TEXT: kinds.TYPE_STRING, ProtoKind.MESSAGE: kinds.TYPE_MESSAGE}.get(
                field.kind, kinds.TYPE_INT64
            )
            if field.message:
                told_of.type_name = f".t.{field.message}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.PushDataV3ApiWrapper"))
    return found


def push(channel: str, **body: object) -> bytes:
    """A data frame."""
    from google.protobuf.json_format import ParseDict

    text = {"channel": channel, "symbol": "BTCUSDT", "createTime": str(MS), "sendTime": str(MS + 1), **body}
    return ParseDict(text, wrapper()()).SerializeToString()


def run(folder: Path, *said: bytes | tuple[str, object]) -> tuple[Account, list[object]]:
    """What becomes of binary frames and REST answers, a millisecond apart."""
    lines: list[dict[str, object]] = [{"t": START, "k": "connect", "c": "0", "u": "wss://wbs-api.mexc.com/ws"}]
    for place, item in enumerate(said, 1):
        line: dict[str, object] = {"t": START + place * 1_000_000, "c": "0"}
        if isinstance(item, bytes):
            lines.append({**line, "k": "recv", "b": base64.b64encode(item).decode()})
        else:
            lines.append({**line, "k": "http", "u": item[0], "d": json.dumps(item[1])})
    source, target = folder / "said.jsonl", folder / "said.dbn.zst"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    account = normalize_file(load("mexc"), source, target)
    return account, list(read_records(target)) if account.records else []


def depth(first: int, last: int, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> bytes:
    """An aggregated depth push."""
    sides = {
        name: [{"price": price, "quantity": size} for price, size in rows]
        for name, rows in (("bids", bids), ("asks", asks))
    }
    return push(DEPTH, publicAggreDepths={**sides, "fromVersion": str(first), "toVersion": str(last)})


def snapshot(last: int) -> tuple[str, object]:
    """The book by REST."""
    book = {"lastUpdateId": last, "bids": [["100", "1"]], "asks": [["101", "2"]], "timestamp": MS}
    return f"{REST}/depth?symbol=BTCUSDT&limit=1000", book


def test_depth_joins_the_snapshot_and_follows_by_versions(tmp_path: Path) -> None:
    """The first spans the snapshot's next version, each further one begins after the last; zero deletes."""
    account, records = run(
        tmp_path,
        depth(5, 7, [("99", "3")], []),
        depth(8, 12, [("100", "4")], []),
        snapshot(10),
        depth(13, 13, [], [("101", "0")]),
    )
    assert account.rejected == {}
    assert account.links == {"ok": 2, "broken": 0}
    told_of = [(str(r.action), r.price // 10**9) for r in records if isinstance(r, MBOMsg)]
    assert told_of[1:] == [("A", 100), ("A", 101), ("M", 100), ("C", 101)]


def test_a_version_left_out_is_a_gap(tmp_path: Path) -> None:
    """And asks for a new snapshot."""
    account, _ = run(tmp_path, depth(11, 12, [], []), snapshot(10), depth(14, 15, [("99", "1")], []))
    assert account.links == {"ok": 0, "broken": 1}
    assert account.resyncs == 1


def test_deals_and_tops(tmp_path: Path) -> None:
    """1 is a taker who bought, 2 one who sold; several deals come in one push."""
    deals = [
        {"price": "100.5", "quantity": "0.25", "tradeType": "1", "time": str(MS)},
        {"price": "100.4", "quantity": "1", "tradeType": "2", "time": str(MS)},
    ]
    top = {"bidPrice": "100", "bidQuantity": "1", "askPrice": "101", "askQuantity": "2"}
    account, records = run(
        tmp_path, push(DEALS, publicAggreDeals={"deals": deals}), push(TICKER, publicAggreBookTicker=top)
    )
    assert account.rejected == {}
    assert [str(r.side) for r in records if isinstance(r, TradeMsg)] == ["B", "A"]
    (quote,) = [r for r in records if isinstance(r, MBP1Msg)]
    assert (quote.levels[0].bid_px, quote.ts_event) == (100 * 10**9, MS * 1_000_000)


def test_bytes_that_are_no_message_are_rejected_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Cut short in the middle of the depth, the frame is counted with its reason."""
    whole = depth(11, 11, [("99", "1")], [])
    account, _ = run(tmp_path, whole[:-3], snapshot(10), whole)
    assert account.rejected == {"bad_protobuf": 1}


def test_control_is_json_beside_the_data(tmp_path: Path) -> None:
    """Code 0 with a refusal's text is one; a pong is no channel."""
    shapes = ControlShapes(load("mexc").session)
    refused = {"id": 0, "code": 0, "msg": f"Not Subscribed successfully! [{DEPTH}]. Reason: Blocked!"}
    answers = ({"id": 0, "code": 0, "msg": DEPTH}, {"id": 0, "code": 0, "msg": "PONG"}, refused)
    assert [shapes.name(json.dumps(answer).encode()) for answer in answers] == ["ack", "heartbeat", "refused"]


def test_definitions(tmp_path: Path) -> None:
    """Decimals are numbers of places."""
    entry = {
        "symbol": "BTCUSDT", "baseAsset": "BTC", "baseAssetPrecision": 6, "quoteAsset": "USDT", "quotePrecision": 2,
        "baseSizePrecision": "0.000001",
    }  # fmt: skip
    heard = told("mexc", "wss://wbs-api.mexc.com/ws", [(f"{REST}/exchangeInfo", {"symbols": [entry]})], tmp_path)
    (made,) = heard.of(InstrumentDefMsg)
    assert (made.min_price_increment, made.unit_of_measure_qty) == (10_000_000, 1_000)


def test_every_single_message_gives_records_or_says_why_not(recordings: Path) -> None:
    """Each real line, alone: of the contracts' socket or of the JSON that spot spoke before; three are REST books of those."""
    reader = LooseMessages(load("mexc"))
    lines = list(read_lines(recordings / "single_messages" / "mexc.jsonl"))
    bad = [line for line in lines if reader.outcome(line).how in ("rejected", "unknown")]
    assert bad == [line for line in lines if line.startswith((b'{"code"', b'{"success"'))]
