"""A node on real sockets, the session logic and the kernel: every swap once, whatever happens to connections and blocks."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from databento_dbn import DBNDecoder, TradeMsg
from tapeline_kernel import Normalizer

from emulator.run import Options
from session_manager.halves import load
from session_manager.provider import Provider, Running
from tapeline.spec.encode import encode
from tapeline.venues import load as load_venue
from tests.emulator.client import running
from tests.session_manager.desk import Desk
from tests.session_manager.fake_venue import until
from tests.session_manager.test_provider import payloads

POOL = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"
OTHER = "0x0d4a11d5eeaac28ec3f61d100daf4d40471f1852"
SWAPS = f"swaps@{POOL}"


@asynccontextmanager
async def node(channels: list[str], rate: int = 400) -> AsyncIterator[tuple[Provider, str]]:
    """A session with an emulated node; the address of its faults."""
    async with running(Options(("ethereum",), rate=rate, live=True)) as emulator:
        base = f"http://127.0.0.1:{emulator.port}"
        provider = Provider(
            load("ethereum"),
            channels,
            Running("ethereum", "ETHEREUM", "PRIMARY", time.time_ns(), 64 << 20, 0.001, base),
        )
        provider.start()
        try:
            yield provider, f"{base}/_tapeline/ethereum/fault"
        finally:
            await provider.stop()


def logs(provider: Provider, channel: str = SWAPS) -> list[dict[str, Any]]:
    """The logs of a channel as they came, pushed or asked for."""
    found: list[dict[str, Any]] = []
    for _, name, _, _, data in payloads(provider):
        if name == channel:
            message = json.loads(data)
            found += message["result"] if "result" in message else [message["params"]["result"]]
    return found


def numbers(some: list[dict[str, Any]]) -> list[int]:
    """The blocks' numbers as the emulator counts: digits that are decimal ones."""
    return [int(one["blockNumber"].removeprefix("0x")) for one in some]


def trades(provider: Provider) -> list[TradeMsg]:
    """What the kernel makes of all that is in the ring."""
    kernel = Normalizer(encode(load_venue("ethereum").meaning), "ETHEREUM", "PRIMARY", "dbn")
    cursor, _ = provider.ring.open("kernel", None)
    decoder = DBNDecoder(has_metadata=False, input_version=3)
    while (item := provider.ring.read(cursor)) is not None:
        decoder.write(kernel.normalize(item.data).data)  # type: ignore[union-attr]  # nothing is lost here
    provider.ring.release(cursor)
    assert kernel.counters()["rejected"] == {}
    return [one for one in decoder.decode() if isinstance(one, TradeMsg)]


async def test_what_was_missed_while_the_connection_was_away_is_asked_for() -> None:
    """Closed twice: each new subscription is followed by the logs since the last block seen; nothing is lost, nothing twice."""
    async with node([SWAPS, "newHeads"]) as (provider, faults):
        await until(lambda: len(logs(provider)) > 50)
        async with httpx.AsyncClient() as client:
            for number in (1, 2):
                await client.post(faults, json={"fault": "close", "channel": SWAPS})
                await until(lambda number=number: provider.session.reconnects == number)  # type: ignore[misc]
                before = len(logs(provider))
                await until(lambda before=before: len(logs(provider)) > before + 100)  # type: ignore[misc]
        await provider.stop()
        came = numbers(logs(provider))
        made = trades(provider)
        answers = [data for _, name, _, _, data in payloads(provider) if name == SWAPS and b'"result":[' in data]
    assert len(answers) == 2
    assert len(came) > len(set(came)), "an overlap is asked for"
    assert sorted(set(came)) == list(range(min(came), max(came) + 1))
    assert [str(one.action) for one in made] == ["T"] * len(set(came))


async def test_a_reorganisation_reaches_the_consumer_as_trades_taken_back() -> None:
    """Five logs are removed and stand elsewhere: five `C`, each after its `T` and before the next one."""
    async with node([SWAPS]) as (provider, faults):
        await until(lambda: len(logs(provider)) > 20)
        async with httpx.AsyncClient() as client:
            await client.post(faults, json={"fault": "reorg", "channel": SWAPS, "count": 5})
        await until(lambda: sum(one["removed"] for one in logs(provider)) == 5)
        before = len(logs(provider))
        await until(lambda: len(logs(provider)) > before + 20)
        await provider.stop()
        came, made = logs(provider), trades(provider)
    assert [str(one.action) for one in made] == ["C" if one["removed"] else "T" for one in came]
    back = [place for place, one in enumerate(made) if str(one.action) == "C"]
    for place in back:
        assert made[place - 1].sequence == made[place].sequence != made[place + 1].sequence
    standing = len(made) - 2 * len(back)
    assert standing == len(set(numbers(came)))


async def test_a_subscription_is_given_up_by_the_id_its_ack_told() -> None:
    """The node's own id goes back with `eth_unsubscribe`; the other pool goes on without a hole."""
    async with node([SWAPS, f"swaps@{OTHER}"]) as (provider, _):
        await until(lambda: len(logs(provider)) > 20 and len(logs(provider, f"swaps@{OTHER}")) > 20)
        provider.reconcile([SWAPS])
        await until(lambda: f"swaps@{OTHER}" not in provider.session.lines[0].subscriptions.states)
        gone, before = len(logs(provider, f"swaps@{OTHER}")), len(logs(provider))
        await until(lambda: len(logs(provider)) > before + 50)
        assert len(logs(provider, f"swaps@{OTHER}")) == gone
        came = numbers(logs(provider))
        assert came == list(range(came[0], came[0] + len(came)))
        assert provider.session.reconnects == 0


def test_a_range_with_too_many_logs_is_asked_for_in_smaller_parts() -> None:
    """`query returned more than 10000 results` names the request: half of it, and then the rest up to the present."""
    desk = Desk(load("ethereum"), [SWAPS])
    desk.open()
    desk.frame('{"jsonrpc":"2.0","id":1,"result":"0xaa"}')
    desk.cursors[SWAPS] = hex(17_000_000)
    desk.close(0)
    desk.wait(1.0)
    desk.connect(1)
    desk.cursors[SWAPS] = hex(17_000_400)
    desk.frame('{"jsonrpc":"2.0","id":2,"result":"0xbb"}', 1)
    asked = [json.loads(text) for text in desk.texts()]
    assert [asked[-1]["params"][0][name] for name in ("fromBlock", "toBlock")] == [hex(17_000_000), "latest"]
    refusal = {"code": -32005, "message": "query returned more than 10000 results"}
    desk.frame(json.dumps({"jsonrpc": "2.0", "id": asked[-1]["id"], "error": refusal}), 1)
    desk.wait(1.0)
    again = json.loads(desk.texts()[-1])
    assert [again["params"][0][name] for name in ("fromBlock", "toBlock")] == [hex(17_000_000), hex(17_000_199)]
    desk.frame(json.dumps({"id": again["id"], "result": "logs"}), 1)
    desk.wait(1.0)
    rest = json.loads(desk.texts()[-1])
    assert [rest["params"][0][name] for name in ("fromBlock", "toBlock")] == [hex(17_000_200), "latest"]
