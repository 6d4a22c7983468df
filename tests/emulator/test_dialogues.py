"""Conversations, without a socket: acks, refusals and heartbeats in the venues' own shapes."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest

from emulator import halves
from emulator.dialogue import GenericDialogue
from emulator.venue import Act, Dialogue, Hang, Say, Subscribe, Unsubscribe, emulation
from tapeline.spec.subscribe import Operation, calls, channel

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def _dialogue(venue: str, known: Collection[str]) -> Dialogue:
    found = emulation(venue)
    assert found is not None
    return found.dialogue({}, known)


def _hear(dialogue: Dialogue, message: object) -> list[Act]:
    return dialogue.hear(json.dumps(message).encode(), NOW)


def _said(acts: list[Act]) -> list[Any]:
    return [json.loads(act.payload) for act in acts if isinstance(act, Say)]


@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm", "coinbase", "deribit", "kraken"])
def test_messages_of_the_session_half_are_understood(venue: str) -> None:
    """What our own sessions send for their usual channels subscribes exactly those, and unsubscribes them again."""
    session, found = halves.session(venue), emulation(venue)
    assert found is not None
    templates = [*session.channels, *session.common]
    names = [t.replace("${symbol:lower}", "btcusdt").replace("${symbol}", found.symbols[0]) for t in templates]
    known = [one for name in names if (one := channel(session, name)) is not None]
    dialogue = found.dialogue({}, names)
    numbers = iter(range(1, 99))
    for operation, kind in ((Operation.SUBSCRIBE, Subscribe), (Operation.UNSUBSCRIBE, Unsubscribe)):
        acts = [
            act
            for call in calls(session, operation, known, lambda: next(numbers))
            for act in dialogue.hear(call.text.encode(), NOW)
        ]
        assert {act.channel for act in acts if isinstance(act, kind)} == set(names)
        assert not any("error" in said for said in _said(acts))


def test_binance_answers() -> None:
    """Null for done, a list for the list, errors with their code; streams of the URL are subscribed at once."""
    dialogue = _dialogue("binance_spot", [])
    assert _said(_hear(dialogue, {"method": "SUBSCRIBE", "params": ["a@trade"], "id": "x"})) == [
        {"result": None, "id": "x"}
    ]
    assert _said(_hear(dialogue, {"method": "LIST_SUBSCRIPTIONS", "id": 2})) == [{"result": ["a@trade"], "id": 2}]
    assert _said(_hear(dialogue, {"method": "JUMP", "id": 3}))[0]["error"]["code"] == 2
    assert _said(dialogue.hear(b"{", NOW))[0]["error"]["code"] == 3
    found = emulation("binance_spot")
    assert found is not None
    assert found.dialogue({"streams": "a@trade/b@depth"}, []).greet(NOW) == [Subscribe("a@trade"), Subscribe("b@depth")]


def test_kraken_answers_each_symbol_and_refuses_what_is_not_there() -> None:
    """One ack a symbol; unknown pairs, depths and doubled subscriptions are errors; ping gets pong."""
    dialogue = _dialogue("kraken", ["book.BTC/USD", "book.ETH/USD"])
    assert _said(dialogue.greet(NOW))[0]["channel"] == "status"
    params = {"channel": "book", "symbol": ["BTC/USD", "XXX/USD"], "depth": 25}
    good, bad = _said(_hear(dialogue, {"method": "subscribe", "params": params, "req_id": 7}))
    assert good["result"] == {"channel": "book", "depth": 25, "snapshot": True, "symbol": "BTC/USD"}
    assert (good["success"], good["req_id"], bad["success"]) == (True, 7, False)
    assert "XXX/USD" in bad["error"]
    [again] = _said(_hear(dialogue, {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}}))
    assert again["error"] == "Already subscribed"
    odd = {"channel": "book", "symbol": ["ETH/USD"], "depth": 11}
    assert not _said(_hear(dialogue, {"method": "subscribe", "params": odd}))[0]["success"]
    assert _said(_hear(dialogue, {"method": "ping", "req_id": 3}))[0]["method"] == "pong"


def test_kraken_beats_when_idle() -> None:
    """A heartbeat after a second without data, not before, and only to who has subscribed."""
    dialogue = _dialogue("kraken", ["book.BTC/USD"])
    assert dialogue.tick(NOW, 5.0) == []
    _hear(dialogue, {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}})
    assert dialogue.tick(NOW, 0.4) == []
    assert _said(dialogue.tick(NOW, 1.2)) == [{"channel": "heartbeat"}]


def test_deribit_lists_what_it_accepts() -> None:
    """An instrument nobody has is absent from the result; unknown methods are JSON-RPC errors."""
    dialogue = _dialogue("deribit", ["book.BTC-PERPETUAL.raw"])
    channels = ["book.BTC-PERPETUAL.100ms", "book.XXX-PERPETUAL.100ms"]
    message = {"jsonrpc": "2.0", "id": 5, "method": "public/subscribe", "params": {"channels": channels}}
    acts = _hear(dialogue, message)
    assert _said(acts)[0]["result"] == channels[:1]
    assert [act for act in acts if isinstance(act, Subscribe)] == [Subscribe(channels[0])]
    assert _said(_hear(dialogue, {"jsonrpc": "2.0", "id": 6, "method": "public/fly"}))[0]["error"]["code"] == -32601


def test_deribit_tests_a_silent_client_and_leaves_a_dead_one() -> None:
    """After an interval of silence comes a test request; answered, all is well; unanswered, the venue closes."""
    dialogue = _dialogue("deribit", ["book.BTC-PERPETUAL.raw"])
    beat = {"jsonrpc": "2.0", "id": 1, "method": "public/set_heartbeat", "params": {"interval": 10}}
    assert _said(_hear(dialogue, beat))[0]["result"] == "ok"
    assert dialogue.tick(NOW + 9 * SECOND, 0.0) == []
    [asked] = _said(dialogue.tick(NOW + 10 * SECOND, 0.0))
    assert asked["params"] == {"type": "test_request"}
    answer = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "public/test", "params": {}}).encode()
    assert "version" in _said(dialogue.hear(answer, NOW + 11 * SECOND))[0]["result"]
    assert _said(dialogue.tick(NOW + 20 * SECOND, 0.0))[0]["params"] == {"type": "heartbeat"}
    assert _said(dialogue.tick(NOW + 30 * SECOND, 0.0))[0]["params"] == {"type": "test_request"}
    assert isinstance(dialogue.tick(NOW + 40 * SECOND, 0.0)[0], Hang)


def test_coinbase_answers_with_the_whole_state() -> None:
    """Each answer lists all channels; an unknown product is an error and changes nothing."""
    dialogue = _dialogue("coinbase", ["full.BTC-USD", "full.ETH-USD"])
    first = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches", "level2_batch"]}
    names = [entry["name"] for entry in _said(_hear(dialogue, first))[0]["channels"]]
    assert names == ["matches", "level2_50"]
    more = {"type": "subscribe", "channels": [{"name": "matches", "product_ids": ["ETH-USD"]}]}
    acts = _hear(dialogue, more)
    assert _said(acts)[0]["channels"][0]["product_ids"] == ["BTC-USD", "ETH-USD"]
    assert [act for act in acts if isinstance(act, Subscribe)] == [Subscribe("matches.ETH-USD")]
    bad = {"type": "subscribe", "product_ids": ["NO-USD"], "channels": ["matches"]}
    assert _said(_hear(dialogue, bad))[0] == {
        "type": "error",
        "message": "Failed to subscribe",
        "reason": "NO-USD is not a valid product",
    }
    gone = {"type": "unsubscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channels": ["matches"]}
    assert [entry["name"] for entry in _said(_hear(dialogue, gone))[0]["channels"]] == ["level2_50"]


@pytest.mark.parametrize("venue", ["binance_spot", "deribit"])
def test_generic_conversation_from_a_session_half_alone(venue: str) -> None:
    """A venue without an emulation of its own is heard and answered by what its session half says."""
    session = halves.session(venue)
    name = "btcusdt@trade" if venue == "binance_spot" else "quote.BTC-PERPETUAL"
    found = channel(session, name)
    assert found is not None
    dialogue = GenericDialogue(session)
    [call] = calls(session, Operation.SUBSCRIBE, [found], lambda: 41)
    said, subscribed = dialogue.hear(call.text.encode(), NOW)
    assert isinstance(said, Say)
    assert json.loads(said.payload)["id"] == 41
    assert subscribed == Subscribe(name)
    for place in session.endpoints:
        for opening in place.openings:
            message = opening.message.replace("${id}", "1").encode()
            assert _said(dialogue.hear(message, NOW)) == [{"result": "ok"}]
