"""The leases' scripts on a real Redis, and on a real cluster that loses the node that holds them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from session_manager.roles.lease import Away, Contender, Found, Lease, Renew, Role, Take
from session_manager.roles.redis_lease import RedisLeases
from tapeline.redis_link import RedisLink
from tapeline.redis_place import RedisPlace
from tests.support.redis_cluster import RedisCluster

KEY = "tapeline:role:V:PRIMARY"
TAKE = Take(Role.PRIMARY, 0, look=False)


def leases(url: str, holder: str, ttl: float = 5.0) -> RedisLeases:
    return RedisLeases(RedisPlace(url), "V", Lease(holder, 0, f"{holder}:7000"), ttl, 2.0)


async def redis(url: str, *words: str | int) -> object:
    link = RedisLink(RedisPlace(url), KEY, 2.0)
    try:
        return await link.ask(*words)
    finally:
        await link.close()


async def test_a_free_role_is_taken_once(redis_url: str) -> None:
    """The second finds the first, with its address, and the time that is left; looking takes nothing."""
    one, two = leases(redis_url, "a"), leases(redis_url, "b")
    assert await two.ask(Take(Role.PRIMARY, 0, look=True)) == Found(None, 0.0)
    before = time.time_ns() // 1000
    taken = await one.ask(TAKE)
    assert isinstance(taken, Found)
    assert taken.lease is not None
    assert (taken.lease.holder, taken.lease.address) == ("a", "a:7000")
    assert 4 < taken.lapses_in <= 5
    assert before - 1_000_000 < taken.lease.epoch < before + 10_000_000
    found = await two.ask(TAKE)
    assert isinstance(found, Found)
    assert found.lease == taken.lease
    assert 4 < found.lapses_in <= 5
    # Its own lease is taken again with the same epoch.
    assert await one.ask(TAKE) == taken
    await one.close()
    await two.close()


async def test_many_at_once_are_one(redis_url: str) -> None:
    """Twenty ask for it together: one has it."""
    many = [leases(redis_url, f"p{n}") for n in range(20)]
    answers = await asyncio.gather(*(one.ask(TAKE) for one in many))
    holders = {answer.lease.holder for answer in answers if isinstance(answer, Found) and answer.lease is not None}
    assert len(holders) == 1
    for one in many:
        await one.close()


async def test_an_epoch_is_above_what_was_seen(redis_url: str) -> None:
    """Also where that is ahead of Redis's clock."""
    one = leases(redis_url, "a")
    ahead = 4_000_000_000_000_000
    taken = await one.ask(Take(Role.PRIMARY, ahead, look=False))
    assert isinstance(taken, Found)
    assert taken.lease is not None
    assert taken.lease.epoch == ahead + 1
    await one.close()


async def test_a_renewal_yields_to_a_higher_epoch_only(redis_url: str) -> None:
    """One's own, none, and a lower one are replaced; a higher one stays as it is."""
    one = leases(redis_url, "a")
    renew = Renew(Role.PRIMARY, 100)
    mine = Lease("a", 100, "a:7000")
    assert await one.ask(renew) == Found(mine, 5.0)
    await redis(redis_url, "PEXPIRE", KEY, 1000)
    assert await one.ask(renew) == Found(mine, 5.0)
    await redis(redis_url, "SET", KEY, '{"holder":"b","epoch":99,"address":"b:1"}', "PX", 60_000)
    assert await one.ask(renew) == Found(mine, 5.0)
    await redis(redis_url, "SET", KEY, '{"holder":"b","epoch":101,"address":"b:1"}', "PX", 60_000)
    answer = await one.ask(renew)
    assert isinstance(answer, Found)
    assert answer.lease == Lease("b", 101, "b:1")
    assert 59 < answer.lapses_in <= 60
    await one.close()


async def test_only_ones_own_is_given_up(redis_url: str) -> None:
    """And it lapses by itself where nobody renews it."""
    one, two = leases(redis_url, "a", ttl=0.2), leases(redis_url, "b")
    await one.ask(TAKE)
    await two.release(Role.PRIMARY)
    found = await two.ask(TAKE)
    assert isinstance(found, Found)
    assert found.lease is not None
    assert found.lease.holder == "a"
    await one.release(Role.PRIMARY)
    assert await redis(redis_url, "EXISTS", KEY) == 0
    await one.ask(TAKE)
    await asyncio.sleep(0.25)
    assert await redis(redis_url, "EXISTS", KEY) == 0
    await one.close()
    await two.close()


async def test_what_is_no_lease_is_not_taken_for_a_free_role(redis_url: str) -> None:
    """Another's writing under that name stands in the way, told as an error; a holder writes its own over it."""
    one = leases(redis_url, "a")
    await redis(redis_url, "SET", KEY, "gibberish")
    answer = await one.ask(TAKE)
    assert isinstance(answer, Away)
    assert "no lease" in answer.reason
    assert await one.ask(Renew(Role.PRIMARY, 7)) == Found(Lease("a", 7, "a:7000"), 5.0)
    await one.close()


async def test_a_redis_that_is_not_there_is_away() -> None:
    """An answer like another, not an error."""
    one = leases("redis://127.0.0.1:1/0", "a")
    assert isinstance(await one.ask(TAKE), Away)
    assert isinstance(await one.ask(Renew(Role.REPLICA, 1)), Away)
    await one.close()


@pytest.mark.timeout(60)
async def test_a_cluster_that_loses_a_node_changes_no_role(tmp_path: Path) -> None:
    """The node that holds the lease is killed: the holder keeps its role and is found by its lease again; the standby waits."""
    ttl = 1.0
    with RedisCluster(tmp_path) as cluster:
        ways = [leases(cluster.url, name, ttl) for name in "abc"]
        contenders = [Contender(name, ttl) for name in "abc"]

        async def turn(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for contender, way in zip(contenders, ways, strict=True):
                    command = contender.command(time.monotonic())
                    if command is not None:
                        sent = time.monotonic()
                        contender.answered(sent, time.monotonic(), command, await way.ask(command))
                await asyncio.sleep(0.01)

        await turn(0.5)
        roles = [Role.PRIMARY, Role.REPLICA, None]
        assert [contender.role for contender in contenders] == roles
        epochs = [contender.epoch for contender in contenders]
        cluster.kill(cluster.owner(KEY))
        await turn(1.0)
        assert contenders[0].away
        await asyncio.to_thread(cluster.wait_until_whole)
        await turn(2.5)
        assert not contenders[0].away
        assert [contender.role for contender in contenders] == roles
        assert [contender.epoch for contender in contenders] == epochs
        for way in ways:
            await way.close()
