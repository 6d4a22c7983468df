"""How frames travel and what must be asked before: packing, keys of a connection's own, tokens, questions, polls."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from picows import WSError
from tapeline_kernel import Decoder

from emulator.ledger import read_rows
from emulator.run import Options
from tapeline.spec.decoding import Compression, Inflate
from tapeline.spec.encode import encode
from tapeline.spec.session import Session
from tests.emulator.client import Client, Running, running
from tests.emulator.madeup import NAME, PREPARED, PROTOBUF, SESSION, KeyedMarket, known

PLACE = "ws.madeup.example/v1"
LIVE = Options((NAME,), rate=2_000, live=True)


async def _client(emulator: Running, *channels: str, party: str = "", path: str = PLACE) -> Client:
    name = f"_as/{party}/{NAME}" if party else NAME
    return await emulator.connect(name, {"op": "sub", "args": list(channels), "id": 1}, path=path)


@pytest.mark.parametrize("live", [True, False])
async def test_compressed_venue_compresses_every_frame(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    """Acks, pongs and data are binary gzip; nothing is text."""
    with known(monkeypatch, Inflate(Compression.GZIP)):
        async with running(replace(LIVE, live=live)) as emulator:
            client = await _client(emulator, "trade.AB")
            client.send({"op": "ping", "id": 7})
            await client.until(lambda: len(client.binary) > 200)
    messages = [json.loads(gzip.decompress(frame)) for frame in client.binary]
    assert client.frames == []
    assert messages[0] == {"event": "sub", "id": 1, "ch": "trade.AB"}
    assert {"op": "pong", "id": 7} in messages
    ids = [message["trade"]["id"] for message in messages if "trade" in message]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize("live", [True, False])
async def test_protobuf_data_beside_json_control(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    """Data are messages that the kernel's decoder reads, with ids that rise and the present time; acks are JSON text."""
    with known(monkeypatch, PROTOBUF):
        async with running(replace(LIVE, live=live)) as emulator:
            client = await _client(emulator, "trade.AB", "book.CD")
            await client.until(lambda: len(client.binary) > 3000)
    assert [message["event"] for message in client.messages()] == ["sub", "sub"]
    decoder = Decoder(encode(PROTOBUF))
    messages = [json.loads(decoder.decode(frame)) for frame in client.binary]
    ids = [int(message["trade"]["id"]) for message in messages if "trade" in message]
    numbers = [int(message["book"]["seq"]) for message in messages if "book" in message]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(abs(int(message["ts"]) / 1000 - 1.79e9) < 3e8 for message in messages)
    assert all(message["ch"] in ("trade.AB", "book.CD") for message in messages)


def _keyed(**more: Any) -> dict[str, Any]:
    ack = replace(SESSION.subscription.ack, key="chan")
    return {"subscription": replace(SESSION.subscription, ack=ack), **more}


async def test_keys_are_the_connections_own_and_counters_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The ack tells a key; data bear it; another connection has other keys; each counts its own frames from the start."""
    path = tmp_path / "sent.rows"
    with known(monkeypatch, market=KeyedMarket, **_keyed()):
        async with running(replace(LIVE, ledger=path)) as emulator:
            clients = [await _client(emulator, "trade.AB", "trade.CD", party=party) for party in ("A", "B")]
            for client in clients:
                await client.until(lambda client=client: len(client.frames) > 200)  # type: ignore[misc]
    keys: list[dict[str, int]] = []
    texts: list[list[str]] = []
    for client in clients:
        messages = [json.loads(frame) for frame in client.frames]
        keys.append({m["ch"]: m["chan"] for m in messages if isinstance(m, dict)})
        data = [m for m in messages if isinstance(m, list)]
        assert all(m[0] == keys[-1][m[1]["ch"]] for m in data)
        assert [m[2] for m in data] == list(range(10**9, 10**9 + len(data)))
        texts.append([json.dumps(m[1]) for m in data])
    assert not set(keys[0].values()) & set(keys[1].values())
    start = texts[0].index(texts[1][0])
    length = min(len(texts[0]) - start, len(texts[1]))
    assert texts[0][start : start + length] == texts[1][:length]
    rows = read_rows(path)
    assert len(set(rows["crc"].tolist())) == len(rows)


async def test_snapshot_is_asked_over_the_socket_and_joins_the_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has the question's number, and its sequence lies where the stream is."""
    with known(monkeypatch):
        async with running(LIVE) as emulator:
            client = await _client(emulator, "book.AB")
            await client.enough(20)
            client.send({"req": "book.AB", "id": 77})
            await client.until(lambda: any(b'"rep"' in frame for frame in client.frames))
            await client.enough(len(client.frames) + 20)
    place, answer = next((n, m) for n, m in enumerate(client.messages()) if "rep" in m)
    assert (answer["rep"], answer["id"]) == ("book.AB", "77")
    assert len(answer["levels"]) > 100
    before, after = client.messages()[place - 1], client.messages()[place + 1]
    assert int(before["book"]["seq"]) == int(answer["seq"]) == int(after["book"]["seq"]) - 1


async def _token(emulator: Running) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"http://127.0.0.1:{emulator.port}/{NAME}/api.madeup.example/bullet")
    assert answer.json()["code"] == 200000
    server = answer.json()["data"]["servers"][0]
    assert server["endpoint"].startswith("wss://")
    return f"{server['endpoint'].removeprefix('wss://')}?token={answer.json()['data']['token']}&connectId=1"


async def test_token_is_wanted_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token, or with an unknown one, there is no connection; when a token is over its connections end."""
    with known(monkeypatch, endpoints=(PREPARED,)):
        async with running(replace(LIVE, token_ttl=1.2)) as emulator:
            for path in (PLACE, f"{PLACE}?token=never"):
                with pytest.raises(WSError):
                    await _client(emulator, "trade.AB", path=path)
            path = await _token(emulator)
            client = await _client(emulator, "trade.AB", path=path)
            await client.enough(20)
            await client.closed.wait()
            assert client.close_code == 1008
            with pytest.raises(WSError):
                await _client(emulator, "trade.AB", path=path)
            again = await _client(emulator, "trade.AB", path=await _token(emulator))
            await again.enough(20)
            await emulator.fault(NAME, fault="token_expires")
            await again.closed.wait()


async def test_pages_of_a_polled_channel_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking from the last cursor on gives every trade once, with times that do not change."""
    with known(monkeypatch):
        async with running(replace(LIVE, rate=4_000)) as emulator:
            cursor = 0
            seen: list[dict[str, int]] = []
            while len(seen) < 300:
                answer = await emulator.get(f"{NAME}/api.madeup.example/tape?s=AB&since={cursor}")
                page = answer.json()
                seen += page["trades"]
                cursor = page["last"]
                await asyncio.sleep(0.02)
    ids = [trade["id"] for trade in seen]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    times = [trade["ts"] for trade in seen]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000 * 10**9


def test_silent_client_is_hung_up_and_pings_want_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue pings as its session half says, and closes where neither pong nor ping comes."""
    from emulator.dialogue import GenericDialogue
    from emulator.venue import Hang, Say

    session: Session = SESSION
    second = 10**9
    dialogue = GenericDialogue(session)
    dialogue.greet(0)
    assert dialogue.tick(1 * second, 0.0) == []
    [ping] = dialogue.tick(7 * second, 0.0)
    assert isinstance(ping, Say)
    stamp = json.loads(ping.payload)["ping"]
    assert dialogue.hear(b'{"pong":%d}' % stamp, 7 * second) == []
    said = [dialogue.tick(second * (7 + 5 * n), 0.0) for n in range(1, 12)]
    assert any(isinstance(act, Hang) for acts in said for act in acts)
