"""What each column of the tables holds, in a line; it stands in the DDL and in docs/tables.md."""

from __future__ import annotations

import re

_NOTES = {
    "day": "UTC day of receipt",
    "provider": "the venue, such as BINANCE_SPOT",
    "version": "which making of this provider and day",
    "channel": "the channel, in the words of the venue",
    "instance": "PRIMARY or REPLICA: which stream the raw payload behind this row came in",
    "raw_epoch": "session of that stream: ns since 1970 when it began",
    "raw_sequence": "number of the raw payload in that session",
    "ordinal": "place among the records of this provider, day and shard, in the order of publication",
    "raw_symbol": "the symbol, as the venue writes it",
    "venue_id": "id or sequence of the venue at full width, NULL where it gives none",
    "ts_recv": "when it was received, ns since 1970",
    "ts_event": "when the venue says it happened, ns since 1970",
    "ts_ref": "time the value refers to, ns since 1970",
    "rtype": "DBN record type",
    "publisher_id": "60000 + 4 x venue number + instance (0 PRIMARY, 1 REPLICA, 2 MERGED)",
    "instrument_id": "CRC-32 of PROVIDER:raw_symbol",
    "order_id": "order at the venue, or of a level price and side",
    "price": "exact price, in units of the venue",
    "size": "exact size, in units of the venue",
    "quantity": "exact quantity, in units of the venue",
    "volume": "exact volume, in units of the venue",
    "flags": "bits: 128 last of its venue message, 64 top of book, 32 snapshot, 16 by level, 4 book in doubt, 2 rounded",
    "channel_id": "0",
    "action": "A add, M modify, C cancel, R clear, T trade, F fill, N nothing",
    "side": "B bid, A ask, N none, of a trade that of the aggressor",
    "depth": "level of the book",
    "ts_in_delta": "ns from sending to receipt, 32 bits",
    "sequence": "low 32 bits of the id of the venue",
    "open": "exact first price",
    "high": "exact highest price",
    "low": "exact lowest price",
    "close": "exact last price",
    "stat_type": "20001 mark, 20002 index, 20003 funding rate, 20004 next funding, 20005 open interest, 20006 implied volatility, 20007 settlement, 20008 funding of 8 hours, 20009 underlying",
    "update_action": "1 new, 2 delete",
    "stat_flags": "0",
    "reason": "DBN reason code",
    "trading_event": "DBN trading event code",
    "is_trading": "Y, N or ~ for not known",
    "is_quoting": "Y, N or ~ for not known, N while a book is in doubt",
    "is_short_sell_restricted": "Y, N or ~ for not known",
    "min_price_increment": "tick",
    "display_factor": "published prices times this are true prices",
    "expiration": "end of trading, ns since 1970",
    "activation": "start of trading, ns since 1970",
    "high_limit_price": "highest price allowed",
    "low_limit_price": "lowest price allowed",
    "max_price_variation": "largest deviation allowed",
    "unit_of_measure_qty": "the lot: DBN sizes are counted in it",
    "unit_of_measure": "what sizes count",
    "min_price_increment_amount": "value of a tick",
    "strike_price": "strike",
    "currency": "quote currency, where it has three letters",
    "settl_currency": "currency of settlement, where it has three letters",
    "strike_price_currency": "currency of the strike, where it has three letters",
    "secsubtype": "UNVRF where a book of the venue has neither links nor checksums",
    "group": "INFERRED where the venue did not tell the lot",
    "exchange": "code of the venue",
    "asset": "base currency",
    "underlying": "base currency or underlying",
    "instrument_class": "X spot, F future or perpetual, C call, P put, S and T combinations",
    "security_update_action": "A the first time, then M",
    "raw_instrument_id": "as instrument_id",
    "schema": "DBN schema of the channel, empty where it has none",
    "connection": "number of the connection in its session",
    "payload": "the payload, exactly as received",
    "seen_by": "both, or the one instance that has it: PRIMARY or REPLICA",
    "hour": "UTC hour of receipt, 0 to 23",
    "primary_only": "payloads that only the primary has",
    "replica_only": "payloads that only the replica has",
    "in_both": "payloads that both have",
    "duplicates": "rows the raw store holds a second time",
    "rejected": "payloads that were not understood",
    "gaps": "gaps that neither instance fills",
    "bars_expected": "minutes with trades",
    "bars_found": "of these, minutes whose candle of the venue agrees",
    "kind": "raw: of a raw stream, venue: of the ids the venue gives",
    "from_sequence": "first that is missing",
    "to_sequence": "last that is missing",
    "from_ts": "receipt of the last before it, ns since 1970",
    "to_ts": "receipt of the first after it, ns since 1970",
    "missing": "how many messages neither instance has, NULL where that is not known",
    "epoch": "session of the stream: ns since 1970 when it began",
    "encoding": "text: the payload stands as it is, base64: decode it with from_base64",
    "year": "UTC year of receipt",
    "month": "UTC month of receipt, 1 to 12",
}
_OF_TABLE = {
    ("status", "action"): "DBN status action: 7 trading, 9 pause, and so on",
    ("ledger_gaps", "reason"): "why it is missing",
    ("raw_objects", "sequence"): "number of the payload in its session",
    ("raw_objects", "payload"): "the payload as text, or its base64",
    ("raw_objects", "channel"): "the channel as it stands in the key, percent-encoded, a query must say it",
    ("raw_objects", "day"): "UTC day of the month of receipt, 1 to 31",
    ("published", "version"): "the version that counts",
    ("raw_payloads", "ordinal"): "place among the payloads of this provider and day",
}
_LEVEL = re.compile(r"(bid|ask)_(px|sz|ct)_(\d\d)\Z")
_OF_LEVEL = {"px": "exact price of", "sz": "exact size at", "ct": "orders at"}


def note(table: str, column: str) -> str:
    """A line on a column; DBN's own name of it where there is nothing to add."""
    found = _OF_TABLE.get((table, column)) or _NOTES.get(column)
    if found:
        return found
    if column.startswith("dbn_"):
        return f"{column[4:]} as the integer of the DBN record"
    if level := _LEVEL.match(column):
        side, what, number = level.groups()
        return f"{_OF_LEVEL[what]} {side} level {int(number)}"
    return f"DBN field {column}"
