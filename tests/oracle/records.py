"""DBN records as the oracle expects them, made with the stock record classes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zlib import crc32

from databento_dbn import (
    Action,
    BidAskPair,
    InstrumentClass,
    InstrumentDefMsg,
    MBOMsg,
    MBP1Msg,
    MBP10Msg,
    OHLCVMsg,
    SecurityUpdateAction,
    Side,
    StatMsg,
    StatType,
    StatusAction,
    StatusMsg,
    StatusReason,
    TradeMsg,
    TradingEvent,
    TriState,
)

F_LAST, F_TOB, F_SNAPSHOT, F_MBP, F_MAYBE_BAD, F_INEXACT = 0x80, 0x40, 0x20, 0x10, 0x04, 0x02
UNDEF_PRICE = (1 << 63) - 1
UNDEF_TIME = (1 << 64) - 1
MAX_SIZE = (1 << 32) - 2

ACTIONS = {
    "A": Action.ADD,
    "M": Action.MODIFY,
    "C": Action.CANCEL,
    "R": Action.CLEAR,
    "T": Action.TRADE,
    "F": Action.FILL,
    "N": Action.NONE,
}
SIDES = {"B": Side.BID, "A": Side.ASK, "N": Side.NONE}
CLASSES = {
    "X": InstrumentClass.FX_SPOT,
    "F": InstrumentClass.FUTURE,
    "C": InstrumentClass.CALL,
    "P": InstrumentClass.PUT,
    "S": InstrumentClass.FUTURE_SPREAD,
    "T": InstrumentClass.OPTION_SPREAD,
    "M": InstrumentClass.MIXED_SPREAD,
    "I": InstrumentClass.INDEX,
}

Level = tuple[int, int]
"""A published price and a size in lots."""


@dataclass
class Instrument:
    """What is known of an instrument."""

    symbol: str
    id: int
    lot: Decimal
    price_shift: int = 0
    known: int = 0
    """0: nothing, 1: its first snapshot, 2: its definition."""
    defined: bool = False
    facts: dict[str, object] = field(default_factory=dict)


class Published:
    """Everything published, payload by payload, as bytes of the stock records."""

    def __init__(self, provider: str, number: int, default_lot: str, exchange: str, unverified: bool = False) -> None:
        self.provider = provider
        self.publisher = 60_000 + 4 * number
        self.default_lot = Decimal(default_lot)
        self.exchange = exchange
        self.unverified = unverified
        self.instruments: dict[str, Instrument] = {}
        self.records: list[bytes] = []
        self.sources: list[int] = []
        """By record: the number of its payload."""
        self.payload = -1
        self.ts_recv = 0
        self._open: list[tuple[str, type, dict[str, object]]] = []

    def begin(self, ts_recv: int) -> None:
        """A payload comes."""
        self.payload += 1
        self.ts_recv = ts_recv

    def end_message(self) -> None:
        """A venue's message is done: the last record of each instrument on each of its channels is marked."""
        last = {(channel, fields["instrument_id"]): fields for channel, _, fields in self._open if "flags" in fields}
        for fields in last.values():
            fields["flags"] = int(str(fields["flags"])) | F_LAST

    def end(self) -> None:
        """The payload is done, and with it its message."""
        self.end_message()
        for _, kind, fields in self._open:
            if kind is StatMsg:
                self.records.append(_statistic(fields))
            else:
                self.records.append(bytes(kind(**fields)))
            self.sources.append(self.payload)
        self._open.clear()

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a symbol, made known where it is new."""
        if symbol not in self.instruments:
            number = crc32(f"{self.provider}:{symbol}".encode())
            self.instruments[symbol] = Instrument(symbol, number, self.default_lot)
        return self.instruments[symbol]

    def price(self, instrument: Instrument, value: Decimal) -> tuple[int, int]:
        """A price as published, and the flag of one that is not exact."""
        scaled = value.scaleb(9 + instrument.price_shift)
        whole = scaled.to_integral_value(ROUND_HALF_UP)
        return int(whole), 0 if whole == scaled else F_INEXACT

    def lots(self, instrument: Instrument, value: Decimal) -> tuple[int, int]:
        """A size in lots, and the flag of one that is not exact."""
        lots = value / instrument.lot
        whole = lots.to_integral_value(ROUND_HALF_UP)
        if whole > MAX_SIZE:
            return MAX_SIZE, F_INEXACT
        if whole == lots:
            return int(whole), 0
        return max(int(whole), 1), F_INEXACT

    def define(self, instrument: Instrument) -> None:
        """Publishes a definition if none has been."""
        if not instrument.defined:
            self.definition(instrument)

    def definition(self, instrument: Instrument) -> None:
        """Publishes the definition of what is known now."""
        facts = instrument.facts

        def scaled(name: str) -> int:
            value = facts.get(name)
            return self.price(instrument, value)[0] if isinstance(value, Decimal) else UNDEF_PRICE

        def three(name: str) -> str:
            code = str(facts.get(name, ""))
            return code if len(code) <= 3 else ""

        fields: dict[str, object] = {
            "publisher_id": self.publisher,
            "instrument_id": instrument.id,
            "ts_event": self.ts_recv,
            "ts_recv": self.ts_recv,
            "min_price_increment": scaled("tick"),
            "display_factor": 10 ** (9 - instrument.price_shift),
            "raw_symbol": instrument.symbol,
            "asset": str(facts.get("base", ""))[:10],
            "security_type": "",
            "instrument_class": CLASSES[str(facts.get("class", "X"))],
            "security_update_action": SecurityUpdateAction.MODIFY if instrument.defined else SecurityUpdateAction.ADD,
            "expiration": facts.get("expiration", UNDEF_TIME),
            "activation": facts.get("activation", UNDEF_TIME),
            "unit_of_measure_qty": int(instrument.lot.scaleb(9)),
            "strike_price": scaled("strike"),
            "raw_instrument_id": instrument.id,
            "currency": three("quote"),
            "settl_currency": three("settle"),
            "strike_price_currency": three("quote") if "strike" in facts else "",
            "secsubtype": "UNVRF" if self.unverified else "",
            "group": "" if instrument.known == 2 else "INFERRED",
            "exchange": self.exchange,
            "unit_of_measure": str(facts.get("unit", "")),
            "underlying": str(facts.get("base", ""))[:20],
        }
        if "multiplier" in facts:
            fields["contract_multiplier"] = facts["multiplier"]
        self._open.append((f"DEFINITION {instrument.symbol}", InstrumentDefMsg, fields))
        instrument.defined = True

    def trade(
        self,
        channel: str,
        symbol: str,
        price: Decimal,
        size: Decimal,
        side: str,
        number: int,
        event: int | None,
        sent: int | None = None,
    ) -> None:
        """One trade; `side` is the aggressor's, times in ns."""
        instrument = self.instrument(symbol)
        px, px_flag = self.price(instrument, price)
        lots, size_flag = self.lots(instrument, size)
        self.define(instrument)
        fields = self._stamp(instrument, event, sent, number)
        fields |= {"price": px, "size": lots, "action": ACTIONS["T"], "side": SIDES[side], "depth": 0}
        fields["flags"] = px_flag | size_flag
        self._open.append((f"TRADES {channel}", TradeMsg, fields))

    def quote(
        self,
        channel: str,
        symbol: str,
        bid: tuple[Decimal | None, Decimal | None],
        ask: tuple[Decimal | None, Decimal | None],
        number: int = 0,
        event: int | None = None,
        sent: int | None = None,
    ) -> None:
        """One top of book; a side whose price is not there or zero is undefined."""
        instrument = self.instrument(symbol)
        pair: dict[str, int] = {}
        flags = F_TOB
        for name, (price, size) in (("bid", bid), ("ask", ask)):
            if price:
                px, px_flag = self.price(instrument, price)
                lots, size_flag = self.lots(instrument, size or Decimal(0))
                pair |= {f"{name}_px": px, f"{name}_sz": lots}
                flags |= px_flag | size_flag
        self.define(instrument)
        fields = self._stamp(instrument, event, sent, number)
        fields |= {"price": UNDEF_PRICE, "size": 0, "action": ACTIONS["M"], "side": SIDES["N"], "depth": 0}
        fields |= {"flags": flags, "levels": BidAskPair(**pair)}
        self._open.append((f"MBP_1 {channel}", MBP1Msg, fields))

    def top(
        self,
        channel: str,
        symbol: str,
        bids: list[tuple[Decimal, Decimal]],
        asks: list[tuple[Decimal, Decimal]],
        number: int,
        event: int | None,
    ) -> None:
        """The top ten levels."""
        instrument = self.instrument(symbol)
        levels = []
        for place in range(10):
            pair = {}
            for name, side in (("bid", bids), ("ask", asks)):
                if place < len(side):
                    pair[f"{name}_px"] = self.price(instrument, side[place][0])[0]
                    pair[f"{name}_sz"] = self.lots(instrument, side[place][1])[0]
            levels.append(BidAskPair(**pair))
        self.define(instrument)
        fields = self._stamp(instrument, event, None, number)
        fields |= {"price": UNDEF_PRICE, "size": 0, "action": ACTIONS["M"], "side": SIDES["N"], "depth": 0}
        fields |= {"flags": 0, "levels": levels}
        self._open.append((f"MBP_10 {channel}", MBP10Msg, fields))

    def bar(self, channel: str, symbol: str, start: int, prices: list[Decimal], volume: Decimal) -> None:
        """A closed one-minute candle."""
        instrument = self.instrument(symbol)
        self.define(instrument)
        fields: dict[str, object] = {"rtype": 0x21, "publisher_id": self.publisher, "instrument_id": instrument.id}
        names = ("open", "high", "low", "close")
        fields |= {name: self.price(instrument, price)[0] for name, price in zip(names, prices, strict=True)}
        fields |= {"ts_event": start, "volume": int(volume / instrument.lot)}
        self._open.append((f"OHLCV_1M {channel}", OHLCVMsg, fields))

    def mbo(
        self,
        channel: str,
        stamp: dict[str, object],
        action: str,
        side: str,
        price: int,
        size: int,
        order_id: int,
        flags: int,
    ) -> None:
        """One level or order; `stamp` is `book_stamp`'s."""
        fields = dict(stamp)
        fields |= {"order_id": order_id, "price": price, "size": size, "action": ACTIONS[action], "side": SIDES[side]}
        fields |= {"flags": flags, "channel_id": 0}
        self._open.append((f"MBO {channel}", MBOMsg, fields))

    def book_stamp(self, symbol: str, event: int | None, sent: int | None, number: int) -> dict[str, object]:
        """What all records of a book message share."""
        return self._stamp(self.instrument(symbol), event, sent, number)

    def status(self, symbol: str, event: int | None, trusted: bool) -> None:
        """A book has become doubtful, or is right again."""
        self._open.append(
            (
                "STATUS",
                StatusMsg,
                {
                    "publisher_id": self.publisher,
                    "instrument_id": self.instrument(symbol).id,
                    "ts_event": self.ts_recv if event is None else event,
                    "ts_recv": self.ts_recv,
                    "action": StatusAction.TRADING if trusted else StatusAction.PAUSE,
                    "reason": StatusReason.NONE,
                    "trading_event": TradingEvent.NONE,
                    "is_trading": TriState.NOT_AVAILABLE,
                    "is_quoting": TriState.YES if trusted else TriState.NO,
                    "is_short_sell_restricted": TriState.NOT_AVAILABLE,
                },
            )
        )

    def statistic(self, channel: str, symbol: str, kind: int, event: int | None, **value: int) -> None:
        """One statistic: `price` (1e-9), `quantity` (lots) or `ts_ref` (ns)."""
        instrument = self.instrument(symbol)
        self.define(instrument)
        fields = self._stamp(instrument, event, None, 0)
        fields |= {"ts_ref": UNDEF_TIME, "price": UNDEF_PRICE, "quantity": UNDEF_PRICE, **value, "stat_type": kind}
        self._open.append((f"STATISTICS {channel}", StatMsg, fields))

    def _stamp(self, instrument: Instrument, event: int | None, sent: int | None, number: int) -> dict[str, object]:
        event = self.ts_recv if event is None else event
        delta = self.ts_recv - (event if sent is None else sent)
        return {
            "publisher_id": self.publisher,
            "instrument_id": instrument.id,
            "ts_event": event,
            "ts_recv": self.ts_recv,
            "ts_in_delta": max(-(1 << 31), min((1 << 31) - 1, delta)),
            "sequence": number & 0xFFFFFFFF,
        }


def _statistic(fields: dict[str, object]) -> bytes:
    """The stock class knows only its own types; ours are numbers from 20000 on, as DBN allows venues."""
    kind = int(str(fields["stat_type"]))
    make: Any = StatMsg
    record = bytearray(bytes(make(**{**fields, "stat_type": StatType.OPEN_INTEREST})))
    size = {"u1": 1, "u2": 2, "u4": 4, "u8": 8, "i4": 4, "i8": 8}
    offset = 0
    for name, form in StatMsg._dtypes:
        if name == "stat_type":
            break
        offset += size[form]
    struct.pack_into("<H", record, offset, kind)
    return bytes(record)
