"""An Ethereum node: swaps of four pools, each in a block of its own, the chain's heads, and the logs since a block."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from emulator.dialogue import GenericDialogue
from emulator.generic import Generic
from emulator.reel import ID_MARK, ID_WIDTH, KEY_MARK, Clock, Id, Line
from emulator.spoken import hear, parsed
from emulator.synth.listing import Listing
from emulator.synth.market import Trade
from emulator.synth.pages import Told, trades
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Act, Ask, Asked, Dialogue, Emulation, Reply, Say
from tapeline.spec.subscribe import Channel

# A pool's first token is the base. Sizes are in lots of 10^-2 USDC and 10^-5 WETH, as the meaning half publishes them.
_LISTINGS = (
    Listing("0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640", "USDC", "WETH", 500_125, 1, 9, 1, 2, 250_000),
    Listing("0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc", "USDC", "WETH", 500_210, 1, 9, 1, 2, 90_000),
    Listing("0x0d4a11d5eeaac28ec3f61d100daf4d40471f1852", "WETH", "USDT", 199_950, 1, 2, 1, 5, 120_000),
    Listing("0x11b815efb8f581194ae79006d24e0d814b7697f6", "WETH", "USDT", 199_910, 1, 2, 1, 5, 80_000),
)
_V3 = ("0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640", "0x11b815efb8f581194ae79006d24e0d814b7697f6")
_DECIMALS = {"USDC": 6, "USDT": 6, "WETH": 18}
_SWAP_V2 = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
_SWAP_V3 = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
_TRADER = "0x" + "0" * 24 + "1bf621aa9cee3f6154881c25041bb39aed4ca7cc"
_MOST_LOGS = 10_000
HASH = "0x" + "0" * 52
"""How a block's hash begins; its number follows."""


class EthereumMarket(Script):
    """A block for every trade. Its number is the trade's id with its digits taken as hexadecimal ones, its hash the same."""

    clock = Clock.HEX_SECONDS

    def lines(self, channel_id: str, depth: int) -> list[Line]:
        """Heads are those of the first pool's blocks: other pools' blocks are skipped, as a node that catches up does."""
        if channel_id != "newHeads":
            return super().lines(channel_id, depth)
        made = []
        for event in next(iter(self._market.symbols.values())).events:
            if isinstance(event, Trade):
                before = Id(event.id.counter, event.id.value - 1)
                made.append(Line(event.place, channel_id, _head(self.clock.mark), (event.id, event.id, before)))
        return made

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """A swap."""
        if known.family.name != "swaps" or not isinstance(beat.event, Trade):
            return None
        told = log(beat.listing, beat.event, ID_MARK, self.clock.mark)
        return _push(f"0x{KEY_MARK}", told), (beat.event.id,) * 3

    def page(self, ask: Ask, view: View) -> str | None:
        """The logs from a block on, or a refusal where they are too many."""
        first, _, last = ask.cursor.partition(" ")
        told = trades(view, ask, self.period, after_id=_number(first) - 1, limit=_MOST_LOGS + 1)
        if last.startswith("0x"):
            told = [one for one in told if one.id <= _number(last)]
        if len(told) > _MOST_LOGS:
            return _error(ask.number, -32005, f"query returned more than {_MOST_LOGS} results")
        logs = ",".join(_told(view.listing, one) for one in told)
        return f'{{"jsonrpc":"2.0","id":{ask.number},"result":[{logs}]}}'


class Node(GenericDialogue):
    """Subscription ids are hexadecimal; logs are asked for over the same socket; what it does not know is an error."""

    key_form = "0x${key}"

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """Subscriptions as in the session half; further methods."""
        message = parsed(text)
        method = message.get("method") if isinstance(message, dict) else None
        number = json.dumps(message.get("id")) if isinstance(message, dict) else "null"
        if method in ("eth_subscribe", "eth_unsubscribe"):
            acts = super().hear(text, now_ns)
            return acts or [Say(_error(number, -32602, "invalid params").encode())]
        if method == "eth_getLogs":
            for request in self._session.requests:
                found = hear(request.message, message)
                if found is not None:
                    pool = found["symbol"]
                    span = f"{found['cursor']} {found['until']}"
                    return [Reply(Ask(Asked.PAGE, pool, channel=f"swaps@{pool}", number=number, cursor=span))]
            return [Say(_error(number, -32602, "invalid argument 0").encode())]
        if method == "eth_chainId":
            return [Say(f'{{"jsonrpc":"2.0","id":{number},"result":"0x1"}}'.encode())]
        return [Say(_error(number, -32601, "the method does not exist/is not available").encode())]


class Ethereum(Generic):
    """By its session half, but for the conversation."""

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> Dialogue:
        """A connection's."""
        return Node(self.session, known, url)


def log(listing: Listing, trade: Trade, number: str, seconds: str) -> str:
    """A swap's log, in the block of that number (twelve digits), without braces around it left out."""
    base, quote = _DECIMALS[listing.base], _DECIMALS[listing.quote]
    gained = trade.size * listing.lot * 10 ** (base - listing.size_places)
    paid = gained * trade.price * listing.tick * 10**quote // 10 ** (base + listing.price_places)
    signs = (-gained, paid) if trade.buy else (gained, -paid)
    if listing.symbol in _V3:
        topic, words = _SWAP_V3, (*signs, 1 << 96, 10**18, 0)
    else:
        topic, words = _SWAP_V2, (*(max(one, 0) for one in signs), *(max(-one, 0) for one in signs))
    data = "".join(f"{word % 2**256:064x}" for word in words)
    return (
        f'{{"address":"{listing.symbol}","topics":["{topic}","{_TRADER}","{_TRADER}"],"data":"0x{data}",'
        f'"blockNumber":"0x{number}","transactionHash":"{HASH}{number}","transactionIndex":"0x6",'
        f'"blockHash":"{HASH}{number}","blockTimestamp":"0x{seconds}","logIndex":"0x28","removed":false}}'
    )


def _told(listing: Listing, told: Told) -> str:
    return log(listing, told.trade, f"{told.id:0{ID_WIDTH}d}", f"{told.ts // 1_000_000_000:08x}")


def _head(seconds: str) -> str:
    told = f'"timestamp":"0x{seconds}","hash":"{HASH}{ID_MARK}","parentHash":"{HASH}{ID_MARK}","gasLimit":"0x2255100"'
    return _push(f"0x{KEY_MARK}", f'{{"number":"0x{ID_MARK}",{told},"baseFeePerGas":"0x2cb417800"}}')


def _push(subscription: str, result: str) -> str:
    told = f'"params":{{"subscription":"{subscription}","result":{result}}}'
    return f'{{"jsonrpc":"2.0","method":"eth_subscription",{told}}}'


def _error(number: str, code: int, message: str) -> str:
    return f'{{"jsonrpc":"2.0","id":{number},"error":{{"code":{code},"message":"{message}"}}}}'


def _number(block: str) -> int:
    """A block's number as a trade's id: at most that, where its digits are no decimal ones."""
    digits = block.removeprefix("0x")
    good = next((place for place, digit in enumerate(digits) if not digit.isdigit()), len(digits))
    return int(digits[:good] + "9" * (len(digits) - good) or "0")


VENUE: Emulation = Ethereum("ethereum", EthereumMarket, _LISTINGS)
