"""The hook `ethereum` against plain Python: every swap of two mainnet blocks, whatever the decimals; and what it leaves alone."""

from __future__ import annotations

import json
from decimal import ROUND_FLOOR, Context, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tapeline_kernel import Decoder

from tapeline.spec.decoding import Hook
from tapeline.spec.encode import encode
from tests.oracle.capture import lines

V2 = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
V3 = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
POOL = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"
HASH = "0xf41b2a06635c8e55044610e90261feda7d093d7a443ebb98298bbac6e4f61c59"
WIDE = Context(prec=200)


def decoder(pools: dict[str, str]) -> Decoder:
    """The hook with these pools."""
    return Decoder(encode(Hook("ethereum", (("overlap", "12"), *pools.items()))))


def decoded(made: Decoder, frame: object) -> dict[str, Any]:
    """What a frame becomes."""
    text = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    found: dict[str, Any] = json.loads(made.decode(text))
    return found


def log(version: str, words: list[int], address: str = POOL, **more: object) -> dict[str, object]:
    """A swap's log with these words of data."""
    data = "0x" + "".join(f"{word % 2**256:064x}" for word in words)
    place = {"blockNumber": "0x10", "blockHash": HASH, "logIndex": "0x2", "removed": False}
    return {"address": address, "topics": [version], "data": data, **place, **more}


def push(result: dict[str, object]) -> dict[str, object]:
    """A notification."""
    params = {"subscription": "0x9cef478923ff08bf67fde6c64013158d", "result": result}
    return {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}


def amounts(version: str, data: str) -> tuple[int, int]:
    """What a pool gained of both tokens, by the contracts' documentation."""
    digits = data.removeprefix("0x")
    words = [int(digits[at : at + 64], 16) for at in range(0, len(digits), 64)]
    if version == V2:
        return words[0] - words[2], words[1] - words[3]
    signed = [word - 2**256 if word >= 2**255 else word for word in words[:2]]
    return signed[0], signed[1]


def rounded_down(value: Decimal, places: int) -> tuple[Decimal, bool]:
    """A value cut to so many places, and whether something was cut off."""
    cut = value.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR, WIDE)
    return cut, cut != value


def agrees(swap: dict[str, Any], gained: tuple[int, int], decimals: tuple[int, int], places: tuple[int, int]) -> None:
    """Holds a swap's price and size against exact division: cut one place further, its last digit says whether more follows."""
    price = WIDE.divide(Decimal(abs(gained[1])), Decimal(abs(gained[0]))).scaleb(decimals[0] - decimals[1], WIDE)
    size = Decimal(abs(gained[0])).scaleb(-decimals[0], WIDE)
    for text, value, digits in ((swap["price"], price, places[0]), (swap["size"], size, places[1])):
        cut, more = rounded_down(value, digits + 1)
        told = Decimal(text)
        assert -told.as_tuple().exponent == digits + 1  # type: ignore[operator]
        last = int(cut.scaleb(digits + 1, WIDE)) % 10
        step = Decimal(1).scaleb(-digits - 1) if more and last in (0, 5) else Decimal(0)
        assert told == WIDE.add(cut, step)
    assert swap["side"] == ("buy" if gained[0] < 0 else "sell")


def test_every_swap_of_two_blocks_is_priced_as_plain_integers_price_it(recordings: Path) -> None:
    """69 swaps of v2 and 10 of v3, each pool with decimals of its own made up from its address."""
    path = recordings / "ethereum" / "logs_blocks_17173049_50.jsonl.zst"
    logs = [json.loads(line.text) for line in lines(path) if line.kind == "recv"]
    swaps = [one for one in logs if one["topics"] and one["topics"][0] in (V2, V3)]
    shapes: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {}
    pools = {}
    for one in swaps:
        seed = int(one["address"], 16)
        decimals = (seed % 19, seed // 19 % 19)
        places = (max(9, decimals[1] - decimals[0]), min(decimals[0], 4))
        shapes[one["address"]] = (decimals, places)
        version = "v2" if one["topics"][0] == V2 else "v3"
        pools[one["address"]] = f"{version} S B {decimals[0]} Q {decimals[1]} {places[0]} {places[1]}"
    made = decoder(pools)
    counts = {V2: 0, V3: 0}
    for one in logs:
        found = decoded(made, one)
        if one not in swaps:
            assert found["kind"] == "other"
            continue
        (swap,) = found["swaps"]
        counts[one["topics"][0]] += 1
        agrees(swap, amounts(one["topics"][0], one["data"]), *shapes[one["address"]])
        assert (swap["number"], swap["index"], swap["time"]) == (
            one["block_number"],
            one["log_index"],
            one["block_timestamp"],
        )
    assert counts == {V2: 69, V3: 10}


@given(
    st.integers(-(2**255), 2**255 - 1).filter(bool),
    st.integers(1, 2**255 - 1),
    st.integers(0, 18),
    st.integers(0, 18),
)
def test_any_amounts_are_priced_to_the_digit(first: int, second: int, base: int, quote: int) -> None:
    """256 bits divided by 256 bits, without a float and without losing the last place."""
    places = (max(9, quote - base), min(base, 6))
    made = decoder({POOL: f"v3 S B {base} Q {quote} {places[0]} {places[1]}"})
    gained = (first, -second if first > 0 else second)
    (swap,) = decoded(made, push(log(V3, [*gained, 0, 0, 0])))["swaps"]
    agrees(swap, gained, (base, quote), places)


def test_what_a_v2_pool_gives_back_counts_against_what_it_gets() -> None:
    """A flash swap pays both in and out of one token: the difference is what was traded."""
    made = decoder({POOL: "v2 S B 0 Q 0 9 0"})
    (swap,) = decoded(made, push(log(V2, [10, 300, 110, 0])))["swaps"]
    assert (swap["side"], swap["size"], swap["price"]) == ("buy", "100.0", "3.0000000000")


def test_identity_tells_blocks_of_one_height_apart() -> None:
    """The id's low half, all that a record has room for, has part of the block's hash and the log's place in it."""
    made = decoder({POOL: "v2 S B 0 Q 0 9 0"})
    other = HASH[:-1] + "8"
    ids = [
        decoded(made, push(log(V2, [1, 0, 0, 1], **more)))["swaps"][0]["id"]
        for more in ({}, {"blockHash": other}, {"logIndex": "0x3"}, {"blockNumber": "0x11"})
    ]
    assert len({number & 0xFFFFFFFF for number in ids[:3]}) == 3
    assert ids[3] >> 32 == 0x11
    assert ids[0] >> 32 == 0x10


def test_a_log_tells_from_where_to_ask_again() -> None:
    """The block so many back, never before the first."""
    made = decoder({})
    assert decoded(made, push(log(V2, [1, 0, 0, 1], blockNumber="0x137b559")))["cursor"] == hex(0x137B559 - 12)
    assert decoded(made, push(log(V2, [1, 0, 0, 1], blockNumber="0x3")))["cursor"] == "0x0"
    assert decoded(made, push(log(V2, [1, 0, 0, 1])))["kind"] == "elsewhere"


@pytest.mark.parametrize(
    "frame",
    [
        {"jsonrpc": "2.0", "id": 1, "result": "0x9cef478923ff08bf67fde6c64013158d"},
        {"jsonrpc": "2.0", "id": 2, "result": True},
        {"jsonrpc": "2.0", "id": 3, "error": {"code": -32005, "message": "query returned more than 10000 results"}},
    ],
)
def test_answers_that_hold_no_logs_pass_as_they_are(frame: dict[str, object]) -> None:
    """Acks and errors reach the session logic untouched."""
    text = json.dumps(frame).encode()
    assert decoder({}).decode(text) == text


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"data": "0x00"}, "bad_swap"),
        ({"data": "0x" + "zz" * 128}, "bad_swap"),
        ({"blockHash": "0x12"}, "bad_hash"),
        ({"blockNumber": "0x1ffffffffffffffff"}, "bad_quantity"),
        ({"logIndex": "-1"}, "bad_quantity"),
    ],
)
def test_damaged_logs_are_refused_with_a_reason(more: dict[str, object], reason: str) -> None:
    """Never a panic, never a guess."""
    made = decoder({POOL: "v2 S B 0 Q 0 9 0"})
    with pytest.raises(ValueError, match=reason):
        made.decode(json.dumps(push(log(V2, [1, 0, 0, 1]) | more)).encode())
