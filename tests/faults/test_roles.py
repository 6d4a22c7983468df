"""Three session managers for two roles, as real processes on a real Redis: killed, stopped, cut off, handed over."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Self

import pytest

from tapeline.channels import market_data
from tapeline.cli.up.children import Child
from tapeline.consumer import Consumer, Hole, Message
from tapeline.objectstore import open_store
from tapeline.redis_server import start_redis
from tapeline.schemas import Schema
from tests.support.proxy import Proxy
from tests.support.rooms import Rooms, until

pytestmark = pytest.mark.timeout(120)

VENUE = "kraken"
TTL = 1.0
LEASE = {"TAPELINE_LEASE_SECONDS": str(TTL)}


class Listener:
    """When data of each instance came last, and how long the longest silence was since `mark`."""

    def __init__(self, url: str) -> None:
        patterns = [market_data(one, Schema.MBP_1, "KRAKEN", "*").format() for one in ("PRIMARY", "REPLICA")]
        self._consumer = Consumer(url, patterns, late_join=False)
        self.last = {"PRIMARY": 0.0, "REPLICA": 0.0}
        self.silence = {"PRIMARY": 0.0, "REPLICA": 0.0}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._consumer.__aenter__()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.close()

    def mark(self) -> None:
        """Forgets all silences."""
        self.silence = dict.fromkeys(self.silence, 0.0)

    def moving(self, instance: str) -> bool:
        """Whether data came just now."""
        return time.monotonic() - self.last[instance] < 0.3

    async def _listen(self) -> None:
        async for items in self._consumer.batches():
            now = time.monotonic()
            for name in {item.channel.instance for item in items if isinstance(item, Message)}:
                if self.last[name]:
                    self.silence[name] = max(self.silence[name], now - self.last[name])
                self.last[name] = now
            assert not any(isinstance(item, Hole) for item in items)


class Three:
    """Session managers that take their roles by lease: PRIMARY, REPLICA, and one that stands by, with a venue of its own."""

    def __init__(self, rooms: Rooms, redis_ports: tuple[int, int] | None = None) -> None:
        self.rooms = rooms
        self._ports = redis_ports
        """By which way the first two reach Redis; None: straight."""
        self.venues: list[Child] = []
        self.managers: list[Child] = []

    async def start(self) -> None:
        """Starts them, in the order of their roles."""
        emulator = ("emulator", "--venues", VENUE, "--rate", "400")
        self.venues = list(await asyncio.gather(*(self.rooms.start(*emulator) for _ in range(2))))
        ports = self._ports or (self.rooms.redis.port, self.rooms.redis.port)
        self.managers = list(await asyncio.gather(*(self._manager(self.venues[0], port) for port in ports)))
        await until(lambda: {self.role(0), self.role(1)} == {"PRIMARY", "REPLICA"}, 5, "roles")
        if self.role(0) == "REPLICA":
            self.managers.reverse()
        self.managers.append(await self._manager(self.venues[1], self.rooms.redis.port))
        await until(lambda: self.role(2) == "STANDBY", 5, "standing by")

    async def _manager(self, venue: Child, redis_port: int) -> Child:
        ready = venue.ready or {}
        channels = self.rooms.folder / "channels.json"
        channels.write_text(json.dumps(ready["channels"]))
        return await self.rooms.start(
            "session_manager", "--venues", VENUE, "--endpoint-base", f"http://127.0.0.1:{ready['port']}",
            "--channels", str(channels), "--instance", "AUTO", "--redis", f"redis://127.0.0.1:{redis_port}/0", **LEASE,
        )  # fmt: skip

    async def read(self, place: int, *rooms: str) -> list[Child]:
        """Starts readers of one of them, that follow its role."""
        source = f"127.0.0.1:{(self.managers[place].ready or {})['port']}"
        flags = {
            "normalizer": ["--redis", self.rooms.redis.url],
            "batch_processor": ["--store", str(self.rooms.store), "--threshold-seconds", "600"],
        }
        started = [
            self.rooms.start(room, "--venues", VENUE, "--instance", "AUTO", "--source", source, *flags[room])
            for room in rooms
        ]
        return list(await asyncio.gather(*started))

    def told(self, place: int) -> dict[str, object]:
        """What one of them last said."""
        return self.rooms.told(self.managers[place], VENUE)

    def role(self, place: int) -> object:
        """PRIMARY, REPLICA or STANDBY."""
        return self.told(place).get("role")

    @property
    def touched(self) -> bool:
        """Whether the venue of the third has seen anybody, over a socket or by request."""
        told = self.venues[1].stats
        seen = told["venues"].get(VENUE, {})
        return bool(told["connections"][VENUE] or seen.get("payloads") or seen.get("control") or seen.get("rest"))


async def test_a_standby_takes_over_from_a_killed_primary(tmp_path: Path) -> None:
    """It has not touched the venue before; its normalizer publishes on as PRIMARY after little more than the lease."""
    async with Rooms(tmp_path, VENUE) as rooms:
        three = Three(rooms)
        await three.start()
        await asyncio.gather(*(three.read(place, "normalizer") for place in range(3)))
        async with Listener(rooms.redis.url) as listener:
            await until(lambda: listener.moving("PRIMARY") and listener.moving("REPLICA"), 5, "both streams")
            assert three.role(2) == "STANDBY"
            assert not three.touched
            listener.mark()
            three.managers[0].process.send_signal(signal.SIGKILL)
            await until(lambda: three.role(2) == "PRIMARY", TTL + 1.5, "takeover")
            await until(lambda: listener.moving("PRIMARY"), 3, "PRIMARY again")
            # A lease's length, a connection, a snapshot; generous, for the machine is shared.
            assert TTL / 2 < listener.silence["PRIMARY"] < TTL + 2.0
            assert listener.silence["REPLICA"] < 0.5
        await until(lambda: three.touched, 2, "the venue of the standby")
        assert TTL <= float(str(three.told(2)["role_waited_seconds"])) < TTL + 0.5
        assert three.role(1) == "REPLICA"


async def test_a_clean_stop_hands_over_at_once(tmp_path: Path) -> None:
    """The lease is given up, and whoever stands by is told: nobody waits for it to lapse."""
    async with Rooms(tmp_path, VENUE) as rooms:
        three = Three(rooms)
        await three.start()
        three.managers[0].stop()
        began = time.monotonic()
        assert three.managers[0].process.returncode == 0
        await until(lambda: three.role(2) == "PRIMARY", 2, "takeover")
        # The statistics come each half second.
        assert time.monotonic() - began < 0.9


async def test_a_stopped_primary_steps_down_when_it_wakes(tmp_path: Path) -> None:
    """SIGSTOP past its lease: the standby is PRIMARY; awake, the first passes on nothing more, and stands by."""
    async with Rooms(tmp_path, VENUE) as rooms:
        three = Three(rooms)
        await three.start()
        (reader,) = await three.read(0, "normalizer")
        await until(lambda: int(rooms.told(reader, VENUE).get("payloads", 0)) > 100, 5, "payloads")
        three.managers[0].process.send_signal(signal.SIGSTOP)
        try:
            await until(lambda: three.role(2) == "PRIMARY", TTL + 1.5, "takeover")
            told = reader.stats
            await until(lambda: reader.stats is not told, 2)
            before = rooms.told(reader, VENUE)["payloads"]
        finally:
            three.managers[0].process.send_signal(signal.SIGCONT)
        await until(lambda: three.role(0) == "STANDBY", 5, "stepping down")
        await until(lambda: not rooms.told(reader, VENUE)["instance"], 5, "the reader at rest")
        assert rooms.told(reader, VENUE)["payloads"] == before
        assert three.told(0)["roles_lost"] == 1
        counters = three.managers[0].stats["counters"]
        assert counters["payloads_withheld{provider=KRAKEN}"] > 0
        assert counters["role_lost"] == 1
        assert (three.role(1), three.role(2)) == ("REPLICA", "PRIMARY")


async def test_a_primary_that_was_cut_off_from_redis_steps_down_when_it_hears_of_another(tmp_path: Path) -> None:
    """Split brain: it cannot know and goes on, as does the standby that took over; mended, the lower epoch ends."""
    async with Rooms(tmp_path, VENUE) as rooms, Proxy(rooms.redis.port) as one, Proxy(rooms.redis.port) as two:
        three = Three(rooms, (one.port, two.port))
        await three.start()
        way = one if f":{one.port}/" in " ".join(map(str, three.managers[0].process.args)) else two  # type: ignore[arg-type]
        way.cut()
        await until(lambda: three.role(2) == "PRIMARY", TTL + 1.5, "takeover")
        await until(lambda: three.told(0)["redis_away"], 2, "cut off")
        before = int(str(three.told(0)["payloads"]))
        await until(lambda: int(str(three.told(0)["payloads"])) > before + 50, 3, "going on")
        assert three.role(0) == "PRIMARY"
        way.mend()
        await until(lambda: three.role(0) == "STANDBY", 3, "stepping down")
        await until(lambda: three.told(0)["connections_up"] == 0, 2, "the venue left alone")
        assert three.told(0)["roles_lost"] == 1
        assert (three.role(1), three.role(2)) == ("REPLICA", "PRIMARY")
        assert three.told(2)["roles_lost"] == 0


async def test_without_redis_nothing_changes_and_a_new_one_is_told(tmp_path: Path) -> None:
    """Redis is killed and comes back empty: roles, sessions and streams are the same; the leases are there again."""
    async with Rooms(tmp_path, VENUE) as rooms:
        three = Three(rooms)
        await three.start()
        (collector,) = await three.read(0, "batch_processor")
        await until(lambda: int(rooms.told(collector, VENUE).get("payloads", 0)) > 100, 5, "payloads")
        before = [three.told(place) for place in range(2)]
        rooms.redis.process.kill()
        rooms.redis.process.wait()
        await until(lambda: all(three.told(place)["redis_away"] for place in range(3)), 4, "Redis away")
        stored = int(rooms.told(collector, VENUE)["payloads"])
        # Longer than a lease.
        gone_at = time.monotonic()
        await until(lambda: time.monotonic() > gone_at + 1.2 * TTL)
        assert int(rooms.told(collector, VENUE)["payloads"]) > stored
        rooms.redis = start_redis(tmp_path / "redis", rooms.redis.port)
        await until(lambda: not any(three.told(place)["redis_away"] for place in range(3)), 4, "Redis back")
        back_at = time.monotonic()
        await until(lambda: time.monotonic() > back_at + 1.5 * TTL)
        after = [three.told(place) for place in range(2)]
        for key in ("role", "role_epoch", "reconnects", "roles_lost", "connections_up"):
            assert [told[key] for told in after] == [told[key] for told in before]
        assert three.role(2) == "STANDBY"
        assert not three.touched


async def test_the_raw_store_goes_on_under_the_same_name(tmp_path: Path) -> None:
    """The batch processor of the new PRIMARY goes on where the other's had to end: each payload stored once, or a gap told."""
    async with Rooms(tmp_path, VENUE) as rooms:
        three = Three(rooms)
        await three.start()
        readers = await asyncio.gather(*(three.read(place, "batch_processor") for place in (0, 2)))
        first, second = (one for (one,) in readers)
        await until(lambda: int(rooms.told(first, VENUE).get("payloads", 0)) > 200, 5, "payloads")
        three.managers[0].process.send_signal(signal.SIGKILL)
        # All that it had is written at once: nobody knows when its session manager comes back.
        await until(lambda: not rooms.told(first, VENUE)["instance"], 3, "the first at rest")
        told = rooms.told(first, VENUE)
        assert told["durable_position"] == told["position"] != "0:0"
        assert told["durable"] == told["payloads"]
        await until(
            lambda: int(rooms.told(second, VENUE).get("payloads", 0)) > 200, TTL + 4, "payloads after the takeover"
        )
        second.stop()
        store = open_store(str(rooms.store))
        epoch, _, last = str(told["durable_position"]).partition(":")
        gaps = [json.loads(store.get(key)) for key in store.list("gaps/instance=PRIMARY")]
        assert [(gap["epoch"], gap["first"], gap["last"]) for gap in gaps] == [(int(epoch), int(last) + 1, 0)]
        assert rooms.told(second, VENUE)["durable"] == rooms.told(second, VENUE)["payloads"]
