"""Ethereum by hand: swaps once each, reorganisations told as they come, what was missed asked for, tokens of any decimals."""

from __future__ import annotations

from pathlib import Path

import pytest
from databento_dbn import InstrumentDefMsg, TradeMsg
from tapeline_kernel import Output

from tapeline.offline.dbn_file import read_records
from tapeline.offline.normalizing import normalize_file
from tapeline.venues import load
from tests.kernel.stream import Stream, commands, records

V3 = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
V2 = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
USDC_WETH = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"
WETH_USDT = "0x0d4a11d5eeaac28ec3f61d100daf4d40471f1852"
START = 1_780_000_000
"""Seconds: when block 0 was."""


def block(number: int, fork: str = "a") -> str:
    """A block's hash; forks differ in it."""
    return "0x" + f"{fork}{number:x}".rjust(64, "0")


def head(number: int, fork: str = "a", parent: str = "") -> dict[str, object]:
    """A new head."""
    told: dict[str, object] = {
        "number": hex(number),
        "hash": block(number, fork),
        "parentHash": block(number - 1, parent or fork),
        "timestamp": hex(START + 12 * number),
        "baseFeePerGas": "0x1",
    }
    return push(told)


def swap(
    number: int, index: int, usdc: int, fork: str = "a", removed: bool = False, pool: str = USDC_WETH
) -> dict[str, object]:
    """A log of a swap of so much USDC (smallest units; what the pool gained) for WETH at 2,000 USDC."""
    words = [usdc, -usdc * 10**12 // 2000, 0, 0, 0]
    data = "0x" + "".join(f"{word % 2**256:064x}" for word in words)
    place = {"blockNumber": hex(number), "blockHash": block(number, fork), "logIndex": hex(index), "removed": removed}
    return {"address": pool, "topics": [V3], "data": data, **place}


def push(result: dict[str, object]) -> dict[str, object]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0x1", "result": result}}


def missed(*logs: dict[str, object]) -> dict[str, object]:
    """The answer to `eth_getLogs`."""
    return {"jsonrpc": "2.0", "id": 7, "result": list(logs)}


def told(output: Output) -> list[tuple[str, int, int]]:
    """Action, block and log index of trades, by their sequence."""
    trades = [one for one in records(output) if isinstance(one, TradeMsg)]
    return [(str(one.action), one.sequence & 0xFFF, one.size) for one in trades]


def test_a_swap_is_a_trade_of_its_first_token() -> None:
    """The pool lost USDC: somebody bought it. The price is WETH for one USDC; the definition goes first."""
    stream = Stream("ethereum")
    stream.say(head(100))
    made = records(stream.say(push(swap(100, 3, -250_000_000))))
    definition, trade = made
    assert isinstance(definition, InstrumentDefMsg)
    assert isinstance(trade, TradeMsg)
    assert (definition.raw_symbol, definition.asset) == ("USDC-WETH-V3-500", "USDC")
    # Fifteen decimals: a thousandth of a thousandth of the usual step.
    assert (trade.price, definition.display_factor) == (500_000_000_000, 1000)
    assert (str(trade.side), trade.size, definition.unit_of_measure_qty) == ("B", 25_000, 10_000_000)
    # The log has no time; the head of its block has told it.
    assert trade.ts_event == (START + 1200) * 1_000_000_000
    assert not int(trade.flags) & 0x02


def test_a_price_that_is_not_exact_says_so() -> None:
    """A third has no end: rounded, flagged, counted."""
    stream = Stream("ethereum")
    log = swap(100, 0, 3_000_000)
    log["data"] = "0x" + "".join(f"{word % 2**256:064x}" for word in (3_000_000, -(10**15) - 1, 0, 0, 0))
    (trade,) = [one for one in records(stream.say(push(log))) if isinstance(one, TradeMsg)]
    assert int(trade.flags) & 0x02
    assert stream.normalizer.counters()["sizes"]["rounded"] == 1


def test_each_swap_is_told_once_however_often_it_comes() -> None:
    """Pushed twice, and asked for on top: by block and place in it."""
    stream = Stream("ethereum")
    one, two = swap(100, 3, 5_000_000), swap(101, 3, 7_000_000)
    assert told(stream.say(push(one))) == [("T", 3, 500)]
    assert told(stream.say(push(one))) == []
    assert told(stream.answer(f"swaps@{USDC_WETH}", missed(one, two), "TRADES")) == [("T", 3, 700)]
    assert told(stream.say(push(two))) == []
    assert stream.normalizer.counters()["excluded"] == {"repeated trade": 3}


def test_what_the_node_removes_is_taken_back_and_may_come_again_elsewhere() -> None:
    """A reorganisation of two blocks: the removed logs, then the same swaps where they now stand."""
    stream = Stream("ethereum")
    for number in (100, 101, 102):
        stream.say(head(number))
        assert told(stream.say(push(swap(number, 1, number * 10_000)))) == [("T", 1, number)]
    assert told(stream.say(push(swap(102, 1, 1_020_000, removed=True)))) == [("C", 1, 102)]
    assert told(stream.say(push(swap(101, 1, 1_010_000, removed=True)))) == [("C", 1, 101)]
    assert told(stream.say(push(swap(101, 1, 1_010_000, fork="b")))) == [("T", 1, 101)]
    assert told(stream.say(push(swap(101, 1, 1_010_000, removed=True)))) == []
    assert stream.normalizer.counters()["excluded"]["removed before it was published"] == 1


def test_a_retraction_is_the_trade_as_it_was() -> None:
    """Price, size, side, time and sequence are equal, so that a consumer finds what to take out of its sums."""
    stream = Stream("ethereum")
    stream.say(head(100))
    (_, trade) = records(stream.say(push(swap(100, 1, -4_000_000))))
    (back,) = records(stream.say(push(swap(100, 1, -4_000_000, removed=True))))
    assert isinstance(trade, TradeMsg)
    assert isinstance(back, TradeMsg)
    same = ("price", "size", "side", "ts_event", "sequence", "instrument_id")
    assert [getattr(trade, name) for name in same] == [getattr(back, name) for name in same]
    assert (str(trade.action), str(back.action)) == ("T", "C")
    assert back.ts_recv > trade.ts_recv


def test_a_head_on_another_parent_takes_back_what_the_node_has_not_removed() -> None:
    """The connection was away in the reorganisation, so nobody said `removed`: the heads tell it, for the pools of all channels."""
    stream = Stream("ethereum")
    for number in (100, 101):
        stream.say(head(number))
        stream.say(push(swap(number, 1, number * 10_000)))
    other = swap(101, 2, 1_010_000, pool=WETH_USDT)
    words = [0, 2_000_000_000, 10**18, 0]
    other |= {"topics": [V2], "data": "0x" + "".join(f"{word:064x}" for word in words)}
    assert told(stream.say(push(other))) == [("T", 2, 100_000)]
    output = stream.say(head(102, "b"))
    assert sorted(told(output)) == [("C", 1, 101), ("C", 2, 100_000)]
    assert told(stream.say(head(100, "b"))) == [("C", 1, 100)]
    assert told(stream.say(head(101, "b"))) == []


def test_what_was_missed_also_tells_what_is_no_longer_so() -> None:
    """Asked for over a new connection: of what an earlier one brought, and the answer spans, only what it names stands."""
    stream = Stream("ethereum")
    for number in (100, 101, 102):
        stream.say(push(swap(number, 1, number * 10_000)))
    stream.connection = 1
    stream.say(push(swap(104, 1, 1_040_000)))
    answer = missed(swap(100, 1, 1_000_000), swap(101, 2, 55_550_000, "b"), swap(103, 1, 1_030_000))
    output = stream.answer(f"swaps@{USDC_WETH}", answer, "TRADES")
    assert sorted(told(output)) == [("C", 1, 101), ("C", 1, 102), ("T", 1, 103), ("T", 2, 5555)]
    # What came over the connection itself the node would remove by itself.
    assert told(stream.answer(f"swaps@{USDC_WETH}", missed(swap(103, 1, 1_030_000), swap(105, 1, 1)), "TRADES")) == [
        ("T", 1, 1)
    ]


def test_a_restart_remembers_what_may_be_taken_back() -> None:
    """From the checkpoint: known swaps stay known, and retractions are of what was published before."""
    stream = Stream("ethereum", sink="resp")
    stream.say(push(swap(100, 1, 1_000_000)))
    fields: dict[bytes, bytes] = {}
    for command in commands(stream.normalizer.flush(all=True)[0]):
        if command[0] == b"HSET":
            fields.update(zip(command[2::2], command[3::2], strict=True))
    stream.normalizer = stream.fresh()
    assert stream.normalizer.restore(fields) > 0
    assert stream.say(push(swap(100, 1, 1_000_000))).records == 0
    assert stream.say(push(swap(100, 1, 1_000_000, removed=True))).records == 1


@pytest.mark.parametrize(("words", "reason"), [((0, 5), "swap of nothing"), ((3, 5), "swap without a counterpart")])
def test_a_swap_that_has_no_price_is_left_out_with_its_reason(words: tuple[int, int], reason: str) -> None:
    """Tokens that tax their transfers, and gifts."""
    stream = Stream("ethereum")
    log = swap(100, 0, 1)
    log["data"] = "0x" + "".join(f"{word:064x}" for word in (*words, 0, 0, 0))
    assert told(stream.say(push(log))) == []
    assert stream.normalizer.counters()["excluded"] == {reason: 1}
    assert stream.normalizer.counters()["rejected"] == {}


def test_a_log_that_is_damaged_is_rejected_alone() -> None:
    """Counted with its reason; the next one is taken."""
    stream = Stream("ethereum")
    bad = swap(100, 0, 1) | {"data": "0x12"}
    output = stream.say(push(bad))
    assert [event.reason for event in output.events] == ["bad_swap"]
    assert told(stream.say(push(swap(100, 1, 10_000)))) == [("T", 1, 1)]


def test_the_recordings_come_to_records_or_a_listed_reason(recordings: Path, tmp_path: Path) -> None:
    """Two whole blocks from a file of ethereum-etl, and one real push: swaps of listed pools, all else with its reason."""
    folder = recordings / "ethereum"
    blocks, push_ = tmp_path / "blocks.dbn.zst", tmp_path / "push.dbn.zst"
    account = normalize_file(load("ethereum"), folder / "logs_blocks_17173049_50.jsonl.zst", blocks)
    assert (account.payloads, account.rejected) == (681, {})
    assert account.excluded == {"log of no swap": 602, "swap of a pool not listed": 71}
    trades = [one for one in read_records(blocks) if isinstance(one, TradeMsg)]
    assert len(trades) == 681 - 602 - 71
    assert {one.ts_event // 10**9 for one in trades} <= {1_683_029_999, 1_683_030_011}
    account = normalize_file(load("ethereum"), folder / "eth_subscription_v3_swap.jsonl.zst", push_)
    assert (account.payloads, account.rejected, account.excluded) == (1, {}, {})
    (trade,) = [one for one in read_records(push_) if isinstance(one, TradeMsg)]
    # 199,601.86 USDC bought for 60.17 WETH.
    bought, paid = 2**48 - 0xFFD186CD4D8A, 0x342FA0629F92054AA
    assert (str(trade.side), trade.size) == ("B", round(bought / 10**4))
    assert trade.price == round(paid * 10**3 / bought)
