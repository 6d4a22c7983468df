"""`tapeline tail`: what is published, as people read it or as JSON lines."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapeline.consumer import Hole, Message
    from tapeline.consumer.definitions import Definitions
    from tapeline.consumer.plain import Value

_ACTIONS = {"A": "add", "M": "modify", "C": "cancel", "R": "clear", "T": "trade", "F": "fill", "N": "none"}

HELP = "print what is published on the channels that a pattern takes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.description = f"{HELP}, beginning with the last that is known of each".capitalize()
    parser.add_argument("pattern", metavar="PATTERN", help="a Redis glob, such as 'MARKET_DATA.PRIMARY.TRADES.*'")
    parser.add_argument(
        "--redis", metavar="URL", help="default: TAPELINE_REDIS_URL, else the Redis of a running `tapeline up`"
    )
    parser.add_argument("--count", type=_count, metavar="N", help="end after N records")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument(
        "--mode",
        choices=("direct", "failover", "merge"),
        default="direct",
        help="make one stream of PRIMARY and REPLICA, whichever of them the pattern names (default: direct, as it stands)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints records until interrupted, or until there have been `--count`; the exit code."""
    from tapeline.cli._redis import redis_url

    try:
        asyncio.run(_tail(args.pattern, redis_url(args.redis), args.count, args.json, args.mode))
    except KeyboardInterrupt:
        return 0
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: an integer from 1")
    return int(text)


async def _tail(pattern: str, url: str, count: int | None, as_json: bool, mode: str) -> None:
    from tapeline.consumer import Consumer, Hole
    from tapeline.consumer.definitions import Definitions

    left = sys.maxsize if count is None else count
    async with Definitions(url, wait_seconds=1.5) as definitions, Consumer(url, [pattern], mode=mode) as consumer:
        async for batch in consumer.batches():
            for item in batch:
                if isinstance(item, Hole):
                    print(_hole(item, as_json))
                    continue
                lines = await _lines(item, definitions, as_json, left)
                left -= len(lines)
                print("\n".join(lines))
                if not left:
                    return
            sys.stdout.flush()


async def _lines(message: Message, definitions: Definitions, as_json: bool, most: int) -> list[str]:
    import json

    from tapeline.consumer.plain import plain
    from tapeline.schemas import Schema

    name = message.channel
    if name.schema is Schema.DEFINITION:
        definitions.take(message)
    lines = []
    for row in message.array()[:most]:
        record = plain(name.schema, row, await definitions.find(name, int(row["instrument_id"])))
        if as_json:
            lines.append(
                json.dumps({"channel": name.format(), "snapshot": message.snapshot, **record}, ensure_ascii=False)
            )
        else:
            lines.append(_line(message, record))
    return lines


def _line(message: Message, record: dict[str, Value]) -> str:
    from tapeline.consumer.plain import time_text

    name = message.channel
    time = record.get("ts_recv") or record["ts_event"]
    head = time_text(time) if isinstance(time, int) else "-"
    symbol = record["symbol"] or f"#{record['instrument_id']}"
    return f"{head} {name.instance} {name.provider} {symbol} {name.schema.value} {_told(record)}"


def _told(record: dict[str, Value]) -> str:
    """What a record says, for people."""
    if "bid_px_00" in record:
        depth = sum(name.startswith("bid_px_") and record[name] is not None for name in record)
        bid, ask = (f"{_number(record, f'{side}_sz_00')} @ {record[f'{side}_px_00']}" for side in ("bid", "ask"))
        return _flagged(f"{bid} | {ask}" + (f" ({depth} levels)" if depth > 1 else ""), record)
    if "order_id" in record:
        action = _ACTIONS.get(str(record["action"]), str(record["action"]))
        side = {"B": "bid", "A": "ask"}.get(str(record["side"]))
        told = action if side is None else f"{action} {side} {_number(record, 'size')} @ {record['price']}"
        return _flagged(told, record)
    if "open" in record:
        prices = " ".join(f"{name[0]}={record[name]}" for name in ("open", "high", "low", "close"))
        return f"{prices} volume={_number(record, 'volume')}"
    if "stat_type" in record:
        return f"type={record['stat_type']} price={record['price']} quantity={_number(record, 'quantity')}"
    if "raw_symbol" in record:
        return (
            f"tick={record['min_price_increment']} lot={record['unit_of_measure_qty']} {record['unit_of_measure']} "
            f"class={record['instrument_class']} asset={record['asset']} {record['group']}"
        ).rstrip()
    if "is_quoting" in record:
        return f"action={record['action']} quoting={record['is_quoting']} trading={record['is_trading']}"
    side = {"B": "buy", "A": "sell"}.get(str(record["side"]), "-")
    return _flagged(f"{side} {_number(record, 'size')} @ {record['price']}", record)


def _number(record: dict[str, Value], name: str) -> str:
    if record[name] is None and f"{name}_lots" in record:
        return f"{record[f'{name}_lots']} lots"
    return str(record[name])


def _flagged(text: str, record: dict[str, Value]) -> str:
    flags = record["flags"]
    return f"{text} [{' '.join(flags)}]" if isinstance(flags, list) and flags else text


def _hole(hole: Hole, as_json: bool) -> str:
    import json

    from tapeline.consumer.plain import time_text

    if as_json:
        told = {"pattern": hole.pattern, "from_ns": hole.from_ns, "to_ns": hole.to_ns, "reason": hole.reason.value}
        return json.dumps({"hole": told}, ensure_ascii=False)
    return f"-- hole on {hole.pattern}: {hole.reason.value}, {time_text(hole.from_ns)} to {time_text(hole.to_ns)}"
