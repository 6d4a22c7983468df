"""Many lines of text at once: a line is a row of a byte matrix with a mask, made of pieces that numpy fills column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# Four digits as one number of the machine's: looked up at once.
_FOUR = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), dtype=np.uint32)
_HEX = np.frombuffer(b"".join(b"%02x" % number for number in range(256)), dtype=np.uint8).reshape(-1, 2)
_POINT = np.uint8(ord("."))


@dataclass(frozen=True, slots=True)
class Cells:
    """A piece of a line that differs between lines; `keep` None: all bytes of it stand."""

    text: Bytes
    keep: Mask | None = None


Piece = bytes | Cells


@dataclass(frozen=True, slots=True)
class Sheet:
    """Lines: what `text` holds where `keep` is set. The first `lead` columns are left for who writes the lines' heads."""

    text: Bytes
    keep: Mask
    lead: int


def sheet(pieces: Sequence[Piece], count: int, lead: int) -> Sheet:
    """Puts pieces side by side, `lead` empty columns before them and a line break behind."""
    pieces = [*pieces, b"\n"]
    width = lead + sum(len(piece) if isinstance(piece, bytes) else piece.text.shape[1] for piece in pieces)
    text = np.empty((count, width), dtype=np.uint8)
    keep = np.ones((count, width), dtype=np.bool_)
    at = lead
    for piece in pieces:
        if isinstance(piece, bytes):
            text[:, at : at + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            at += len(piece)
            continue
        end = at + piece.text.shape[1]
        text[:, at:end] = piece.text
        if piece.keep is not None:
            keep[:, at:end] = piece.keep
        at = end
    return Sheet(text, keep, lead)


def digits(values: Integers, width: int) -> Bytes:
    """Decimal digits with leading zeros."""
    groups = -(-width // 4)
    out = np.empty((len(values), groups), dtype=np.uint32)
    rest = values
    for group in range(groups - 1, -1, -1):
        above = rest // 10_000
        out[:, group] = _FOUR.take(rest - above * 10_000)
        rest = above
    return out.view(np.uint8)[:, groups * 4 - width :]


def number(values: Integers, width: int) -> Cells:
    """Whole numbers without leading zeros, of at most `width` digits."""
    keep = np.ones((len(values), width), dtype=np.bool_)
    for place in range(width - 1):
        keep[:, place] = values >= 10 ** (width - 1 - place)
    return Cells(digits(values, width), keep)


def decimal(values: Integers, whole: int, places: int, *, trim: bool = False, least: int = 0) -> Cells:
    """Units of 10^-places as decimal text; `trim` leaves out zeros at the end, but for `least` places."""
    if not places:
        return number(values, whole)
    figures = digits(values, whole + places)
    text = np.empty((len(values), whole + 1 + places), dtype=np.uint8)
    text[:, :whole] = figures[:, :whole]
    text[:, whole] = _POINT
    text[:, whole + 1 :] = figures[:, whole:]
    keep = np.ones(text.shape, dtype=np.bool_)
    for place in range(whole - 1):
        keep[:, place] = values >= 10 ** (whole - 1 - place + places)
    if trim:
        for place in range(least, places):
            keep[:, whole + 1 + place] = values % 10 ** (places - place) != 0
        if not least:
            keep[:, whole] = values % 10**places != 0
    return Cells(text, keep)


def choice(words: Sequence[bytes], which: npt.NDArray[np.integer]) -> Cells:
    """One of several words in each line."""
    width = max(map(len, words))
    table = np.zeros((len(words), width), dtype=np.uint8)
    kept = np.zeros((len(words), width), dtype=np.bool_)
    for place, word in enumerate(words):
        table[place, : len(word)] = np.frombuffer(word, dtype=np.uint8)
        kept[place, : len(word)] = True
    return Cells(table[which], kept[which])


def hexadecimal(values: Bytes) -> Cells:
    """Bytes of each line as hexadecimal digits."""
    return Cells(_HEX[values].reshape(len(values), -1))


def only_where(piece: Piece, where: Mask) -> Cells:
    """The piece in some of the lines."""
    if isinstance(piece, bytes):
        text = np.broadcast_to(np.frombuffer(piece, dtype=np.uint8), (len(where), len(piece)))
        return Cells(text, np.broadcast_to(where[:, None], text.shape))
    keep = np.broadcast_to(where[:, None], piece.text.shape)
    return Cells(piece.text, keep if piece.keep is None else piece.keep & keep)
