"""Moments and late-join keys as commands for Redis, as the live path gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tapeline import redis_keys
from tapeline.channels import REPLAY, ChannelName, market_data
from tapeline.consumer.layout import LAYOUTS
from tapeline.history.blocks import DTYPES, PLACES
from tapeline.history.choice import Channels
from tapeline.history.messages import Moment
from tapeline.publish import Entry, command
from tapeline.schemas import Schema
from tapeline.stream import Position

REPLAY_CHANNEL = "_replay"
"""The STATUS channel of a provider that says when its replay begins (action 7) and ends (12)."""

BEGINS, ENDS = 7, 12
_PAST = frozenset((Schema.TRADES, Schema.OHLCV_1M))
"""What happened before is no news; how things stand is."""


class Outlet:
    """Commands for some homes (Redis nodes, each with its own connection); `home` says by provider which one has its keys."""

    def __init__(self, channels: Channels, home: Mapping[str, int], epoch: int) -> None:
        self._channels = channels
        self._home = home
        self._epoch = epoch
        self._batches = 0
        self._homes = [home[name.provider] for name in channels.names]
        texts = [name.format().encode() for name in channels.names]
        self._heads = [b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$" % (len(text), text) for text in texts]
        self._strides = [LAYOUTS[name.schema].stride for name in channels.names]
        self._sizes: dict[int, bytes] = {}
        self._announced = [False] * len(texts)
        self.messages = 0
        """Messages of history made so far."""
        self.records = 0

    def begin(self, keys: Mapping[int, bytes], at: int) -> dict[int, Entry]:
        """What opens a replay: every channel begins anew, by an empty message, with what is known of it (`keys`).

        `at` (ns) is the time that the replay begins with.
        """
        commands: dict[int, list[bytes]] = {home: [] for home in self._home.values()}
        for number, (name, published) in enumerate(zip(self._channels.names, self._channels.published, strict=True)):
            if not published:
                continue
            ready = commands[self._homes[number]]
            ready.append(command("PUBLISH", name.format(), b""))
            if number in keys and name.schema not in _PAST:
                ready.append(command("PUBLISH", name.format(), keys[number]))
        for provider, home in self._home.items():
            commands[home] += self._marked(provider, BEGINS, at)
        self._batches += 1
        return self._with_keys(commands, keys)

    def end(self, keys: Mapping[int, bytes], at: int) -> dict[int, Entry]:
        """What closes a replay that has come as far as `at` (ns)."""
        commands: dict[int, list[bytes]] = {home: [] for home in self._home.values()}
        for provider, home in self._home.items():
            commands[home] += self._marked(provider, ENDS, at)
        self._batches += 1
        return self._with_keys(commands, keys)

    def keys(self, keys: Mapping[int, bytes]) -> dict[int, Entry]:
        """Late-join keys, and the position that they stand for."""
        return self._with_keys({home: [] for home in self._home.values()}, keys)

    def moments(self, moments: Iterable[Moment]) -> dict[int, Entry]:
        """What is published of moments, by one write; nothing where there is nothing."""
        parts: dict[int, list[bytes | memoryview]] = {}
        counts: dict[int, int] = {}
        touched: set[int] = set()
        published = self._channels.published
        for moment in moments:
            for channel, data in moment.messages:
                if not published[channel]:
                    continue
                home = self._homes[channel]
                size = len(data)
                self.records += size // self._strides[channel]
                ready = parts.setdefault(home, [])
                ready += (self._heads[channel], self._sizes.get(size) or self._size(size), data, b"\r\n")
                counts[home] = counts.get(home, 0) + 1
                touched.add(channel)
        if not touched:
            return {}
        self._batches += 1
        position = self._position()
        entries = {}
        for home, ready in parts.items():
            mine = [number for number in touched if self._homes[number] == home]
            new = [self._announce(number) for number in mine if not self._announced[number]]
            told = [self._told(provider) for provider in {self._channels.names[number].provider for number in mine}]
            self.messages += counts[home]
            commands = counts[home] + len(new) + len(told)
            entries[home] = Entry(b"".join([*new, *ready]), b"".join(told), commands, self._batches, position)
        return entries

    def _with_keys(self, commands: Mapping[int, Sequence[bytes]], keys: Mapping[int, bytes]) -> dict[int, Entry]:
        ready = {home: list(first) for home, first in commands.items()}
        for number, data in keys.items():
            name = self._channels.names[number]
            ready[self._homes[number]] += (self._announce(number), command("SET", redis_keys.snapshot(name), data))
        for provider, home in self._home.items():
            noted = str(self._position())
            ready[home].append(command("HSET", redis_keys.checkpoint(provider, REPLAY), "position", noted))
            ready[home].append(self._told(provider))
        return {home: Entry(b"".join(parts), b"", len(parts)) for home, parts in ready.items()}

    def _marked(self, provider: str, action: int, at: int) -> list[bytes]:
        name = market_data(REPLAY, Schema.STATUS, provider, REPLAY_CHANNEL)
        record = _status(action, at)
        anew = [command("PUBLISH", name.format(), b"")] if action == BEGINS else []
        return [
            *anew,
            command("PUBLISH", name.format(), record),
            command("SET", redis_keys.snapshot(name), record),
            command("SADD", redis_keys.channels(provider, REPLAY), name.format()),
        ]

    def _announce(self, number: int) -> bytes:
        self._announced[number] = True
        name: ChannelName = self._channels.names[number]
        return command("SADD", redis_keys.channels(name.provider, REPLAY), name.format())

    def _told(self, provider: str) -> bytes:
        return command("SET", redis_keys.cursor(provider, REPLAY), str(self._position()))

    def _position(self) -> Position:
        return Position(self._epoch, self._batches)

    def _size(self, size: int) -> bytes:
        self._sizes[size] = line = b"%d\r\n" % size
        return line


def _status(action: int, at: int) -> bytes:
    """A DBN status record of no instrument."""
    row = np.zeros(1, dtype=DTYPES[PLACES[Schema.STATUS]])
    row["length"], row["rtype"] = row.dtype.itemsize // 4, 0x12
    row["ts_event"] = row["ts_recv"] = at
    row["action"] = action
    row["is_trading"] = row["is_quoting"] = row["is_short_sell_restricted"] = b"~"
    return row.tobytes()
