"""Coinbase Exchange: books rebuilt from captures, and the level 3 body."""

from __future__ import annotations

import json
from typing import Any

from emulator.reel import Clock
from emulator.synth.listing import trimmed
from emulator.synth.market import ASK, BID
from emulator.tapebook import Levels

SIDES = ("buy", "sell")


def level3(sequence: int, bids: list[list[str]], asks: list[list[str]], now_ns: int) -> bytes:
    """A level 3 body."""
    time = Clock.ISO_MICROS.write(now_ns).decode()
    body = {"sequence": sequence, "bids": bids, "asks": asks, "auction_mode": False, "auction": None, "time": time}
    return json.dumps(body, separators=(",", ":")).encode()


class OrdersTapeBook:
    """Resting orders of the captured level 3 snapshot and the messages after it."""

    def __init__(self) -> None:
        self._orders: dict[str, tuple[str, str, str]] = {}
        self._sequence = -1
        self.checked, self.sound = False, True

    def take(self, payload: bytes) -> None:
        """A message of the full channel, or a level 3 body."""
        message = json.loads(payload)
        if "bids" in message:
            self._orders = {
                name: (side, price, size)
                for side, rows in (("buy", message["bids"]), ("sell", message["asks"]))
                for price, size, name in rows
            }
            self._sequence = int(message["sequence"])
        elif 0 <= self._sequence < int(message.get("sequence", -1)):
            self._apply(message)
            self._sequence = int(message["sequence"])

    def _apply(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "open":
            self._orders[message["order_id"]] = (message["side"], message["price"], message["remaining_size"])
        elif kind == "done":
            self._orders.pop(message["order_id"], None)
        elif kind == "change" and message["order_id"] in self._orders and message.get("new_size"):
            side, price, _ = self._orders[message["order_id"]]
            self._orders[message["order_id"]] = (side, price, message["new_size"])
        elif kind == "match" and message["maker_order_id"] in self._orders:
            side, price, size = self._orders[message["maker_order_id"]]
            self._orders[message["maker_order_id"]] = (side, price, _less(size, message["size"]))

    def snapshot(self, now_ns: int) -> bytes | None:
        """A level 3 body of the book so far."""
        if self._sequence < 0:
            return None
        rows: dict[str, list[list[str]]] = {"buy": [], "sell": []}
        for name, (side, price, size) in self._orders.items():
            if size != "0":
                rows[side].append([price, size, name])
        bids = sorted(rows["buy"], key=lambda row: _number(row[0]), reverse=True)
        asks = sorted(rows["sell"], key=lambda row: _number(row[0]))
        return level3(self._sequence, bids, asks, now_ns)


def _number(text: str) -> tuple[int, str]:
    """Sorts as the decimal does: whole part by value, then the places as text."""
    whole, _, places = text.partition(".")
    return int(whole), places.ljust(20, "0")


def _less(size: str, by: str) -> str:
    places = max(len(text.partition(".")[2]) for text in (size, by))
    units = [int(text.partition(".")[0] + text.partition(".")[2].ljust(places, "0")) for text in (size, by)]
    left = max(units[0] - units[1], 0)
    text = f"{left:0{places + 1}d}"
    return trimmed(f"{text[:-places]}.{text[-places:]}") if places else text


class Level2TapeBook:
    """Levels of the captured snapshot and the l2updates after it."""

    def __init__(self) -> None:
        self._levels = Levels()
        self._product = ""
        self.checked, self.sound = False, True

    def take(self, payload: bytes) -> None:
        """A level2 frame."""
        message = json.loads(payload)
        if message["type"] == "snapshot":
            self._levels.clear()
            self._product = message["product_id"]
            for side, key in ((BID, "bids"), (ASK, "asks")):
                for price, size, *_ in message[key]:
                    self._levels.set(side, price, size)
        else:
            for word, price, size in message["changes"]:
                self._levels.set(SIDES.index(word), price, size)

    def snapshot(self, now_ns: int) -> bytes | None:
        """A snapshot frame of the levels so far."""
        if not self._product:
            return None
        bids, asks = self._levels.best(BID), self._levels.best(ASK)
        body = {"type": "snapshot", "product_id": self._product, "bids": bids, "asks": asks}
        return json.dumps(body, separators=(",", ":")).encode()
