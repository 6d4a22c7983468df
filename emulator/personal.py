"""What one connection alone is told: its own keys of the channels, and the count of its own frames."""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.reel import COUNTER_MARK, KEY_MARK, KEY_WIDTH, Block

_KEY, _COUNTER = KEY_MARK.encode(), COUNTER_MARK.encode()
NEUTRAL_KEY, NEUTRAL_COUNTER = b"1" * KEY_WIDTH, b"1" * len(COUNTER_MARK)
"""What stands in their places where the ledger takes a payload's CRC32."""
FIRST = 10 ** (len(COUNTER_MARK) - 1)


@dataclass(slots=True)
class Own:
    """A connection's keys by channel index, and how many frames it has been told of."""

    keys: dict[int, str] = field(default_factory=dict)
    count: int = 0

    def block(self, played: Block) -> Block:
        """The frames as this connection gets them."""
        if not played.personal:
            return played
        data = bytearray(played.data)
        starts, channels = played.starts.tolist(), played.channels.tolist()
        for channel, start, end in zip(channels, starts, starts[1:], strict=False):
            self._write(data, start, end, self.keys.get(channel, NEUTRAL_KEY.decode()))
        return Block(bytes(data), played.channels, played.starts)

    def text(self, payload: bytes, key: str = "") -> bytes:
        """One payload as this connection gets it."""
        data = bytearray(payload)
        self._write(data, 0, len(data), key or NEUTRAL_KEY.decode())
        return bytes(data)

    def _write(self, data: bytearray, start: int, end: int, key: str) -> None:
        place = data.find(_KEY, start, end)
        if place >= 0:
            data[place : place + KEY_WIDTH] = key.encode()
        place = data.find(_COUNTER, start, end)
        if place >= 0:
            data[place : place + len(_COUNTER)] = b"%d" % (FIRST + self.count)
            self.count += 1


def neutral(payload: bytes) -> bytes:
    """A payload without what is its connection's own."""
    return payload.replace(_KEY, NEUTRAL_KEY).replace(_COUNTER, NEUTRAL_COUNTER)
