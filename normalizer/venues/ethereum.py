"""Ethereum: swaps of Uniswap v2 and v3 pools as trades of token0 for token1, taken back where the chain gives up their block.

https://docs.uniswap.org/contracts/v2/reference/smart-contracts/pair and .../v3/reference/core/interfaces/pool/IUniswapV3PoolEvents.
"""

from tapeline.spec.decoding import Hook
from tapeline.spec.meaning import Block, InBlock, Instrument, Mapping, Meaning, Message, Side, Time, TimeUnit, Trade
from tapeline.spec.routing import Match

# Address, then version, symbol, token0 with its decimals, token1 with its, decimals of published prices and of lots. A pool's tokens,
# fee and decimals are set when it is made and never change, so they are written down here once and not asked of a node.
POOLS = (
    ("0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640", "v3 USDC-WETH-V3-500 USDC 6 WETH 18 15 2"),
    ("0x11b815efb8f581194ae79006d24e0d814b7697f6", "v3 WETH-USDT-V3-500 WETH 18 USDT 6 9 5"),
    ("0x60594a405d53811d3bc4766596efd80fd545a270", "v3 DAI-WETH-V3-500 DAI 18 WETH 18 15 2"),
    ("0x3416cf6c708da44db2624d63ea0aaef7113527c6", "v3 USDC-USDT-V3-100 USDC 6 USDT 6 9 2"),
    ("0xcbcdf9626bc03e24f779434178a73a0b4bad62ed", "v3 WBTC-WETH-V3-3000 WBTC 8 WETH 18 9 6"),
    ("0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc", "v2 USDC-WETH-V2 USDC 6 WETH 18 15 2"),
    ("0x0d4a11d5eeaac28ec3f61d100daf4d40471f1852", "v2 WETH-USDT-V2 WETH 18 USDT 6 9 5"),
    ("0x06da0fd433c1a5d7a4faa01111c044910a184553", "v2 WETH-USDT-SUSHI WETH 18 USDT 6 9 5"),
)

POOL = Instrument(
    symbol=".symbol",
    base=".base",
    quote=".quote",
    unit=".base",
    price_decimals=".price_decimals",
    size_decimals=".size_decimals",
)
SWAPS = (Match("kind", ("swaps",)),)


def swap(page: bool = False) -> Trade:
    """A swap; `size` is token0's, `price` token1's for one of it, both beyond their published digits told from exact ones."""
    return Trade(
        symbol=".symbol",
        price=".price",
        size=".size",
        side=Side(".side", buy=("buy",), sell=("sell",)),
        # The block's, which newer nodes write beside the log; else the head tells it.
        time=Time(".time", TimeUnit.SECONDS),
        id=".id",
        exclude=(
            ("swap of nothing", Match(".odd", ("swap of nothing",))),
            ("swap without a counterpart", Match(".odd", ("swap without a counterpart",))),
        ),
        page=page,
        block=InBlock(".number", ".hash", ".index", removed=(Match(".removed", ("true",)),)),
    )


MEANING = Meaning(
    number=16,
    default_lot="0.01",
    exchange="UNIS",
    decoder=Hook("ethereum", POOLS),
    mappings=(
        Mapping(
            messages=(
                Message(
                    "head",
                    when=(Match("kind", ("head",)),),
                    emits=(Block("number", "hash", "parent", Time("time", TimeUnit.SECONDS)),),
                ),
                Message("pushed", when=(*SWAPS, Match("method")), each="swaps", emits=(POOL, swap())),
                Message("asked for", when=(*SWAPS, Match("id")), each="swaps", emits=(POOL, swap(page=True))),
                # Files of ethereum-etl hold all logs of a block, one a line.
                Message("from a file", when=(*SWAPS, Match("form", ("etl",))), each="swaps", emits=(POOL, swap())),
                Message("nothing", (), when=(Match("kind", ("none",)),), excluded="no swap was missed"),
                Message("elsewhere", (), when=(Match("kind", ("elsewhere",)),), excluded="swap of a pool not listed"),
                Message("other", (), when=(Match("kind", ("other",)),), excluded="log of no swap"),
            ),
        ),
    ),
)
