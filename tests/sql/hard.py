"""Values that formats, SerDes and engines like to get wrong, for every column of every table."""

from __future__ import annotations

import random
from decimal import Decimal

import pyarrow as pa

PAYLOADS = (
    b"",
    b"{}",
    b"\\N",
    b"NULL",
    b'{"a":"b"}',
    b'{"quoted":"say \\"hi\\"","path":"C:\\\\x\\\\","u":"\\u00e9"}',
    '{"s":"Grüße, 市場 🚀 \u2028\u0085"}'.encode(),
    b"it's 'quoted', \"twice\", and, with, commas; ok",
    b"tab\there",
    b"line\nbreak",
    b"carriage\rreturn",
    b"nul\x00inside",
    b"\xff\xfe\x00binary\x01\x02",
    b" leading and trailing ",
    b"\\t \\n \\\\ \\",
    b"\x01ctrl-a\x02ctrl-b",
    b"8=FIX.4.4\x019=12\x0135=W\x0110=000\x01",
)
LARGE = b'{"big":"' + random.Random(7).randbytes(2_500_000).hex().encode() + b'"}'
"""5 MB of text."""

_TEXTS = ("BTC/USD", "", "\\N", 'it\'s "quoted"\\', "市場🚀\t\n", "__HIVE_DEFAULT_PARTITION__")
_DECIMALS = ("0", "0.000000000000000001", "-0.1", "99999999999999999999.999999999999999999", "-12345678901234567890.5")
_U64 = ("0", "18446744073709551615", "9223372036854775808")


def rows(columns: pa.Schema) -> pa.Table:
    """Rows of a table, one for each hard value and one that is NULL throughout."""
    count = 1 + max(len(PAYLOADS), len(_TEXTS))
    return pa.table([pa.array([*_values(c.type, count - 1), None], c.type) for c in columns], schema=columns)


def _values(kind: pa.DataType, count: int) -> list[object]:
    return [_some(kind)[number % len(_some(kind))] for number in range(count)]


def _some(kind: pa.DataType) -> list[object]:
    if pa.types.is_decimal(kind):
        return [Decimal(text) for text in (_DECIMALS if kind.scale else _U64)]
    if kind == pa.string():
        return list(_TEXTS)
    if kind == pa.binary():
        return list(PAYLOADS)
    most: int = 2 ** (kind.bit_width - 1) - 1
    return [0, most, -most - 1, most - 7]
