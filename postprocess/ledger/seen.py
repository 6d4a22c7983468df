"""Which sequences of a session were seen, a bit each, and the runs that were not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]

BLOCK = 1 << 20
"""Sequences of a block; a block none of which was seen takes no memory."""


class Seen:
    """The sequences seen of one session; blocks of bits by number."""

    def __init__(self, blocks: Mapping[int, Bits] | None = None) -> None:
        self.blocks: dict[int, Bits] = dict(blocks or {})

    def note(self, sequences: Integers) -> None:
        """Takes some in, in any order, each any number of times; none is negative."""
        if not sequences.size:
            return
        numbers = sequences // BLOCK
        alone = numbers.min() == numbers.max()
        for number in [int(numbers[0])] if alone else np.unique(numbers).tolist():
            within = (sequences if alone else sequences[numbers == number]) % BLOCK
            bits = self.blocks.get(number)
            if bits is None:
                bits = self.blocks[number] = np.zeros(BLOCK // 8, dtype=np.uint8)
            np.bitwise_or.at(bits, within >> 3, np.left_shift(1, within & 7).astype(np.uint8))

    def add(self, other: Seen) -> None:
        """Takes in what another has seen."""
        for number, bits in other.blocks.items():
            mine = self.blocks.get(number)
            self.blocks[number] = bits.copy() if mine is None else mine | bits

    def following(self, sequence: int) -> int | None:
        """The first beyond a sequence; None where there is none."""
        for number in sorted(self.blocks):
            if number * BLOCK + BLOCK > sequence + 1:
                places = _places(self.blocks[number]) + number * BLOCK
                places = places[places > sequence]
                if places.size:
                    return int(places[0])
        return None

    def runs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs between two sequences, both ends inclusive, that were not seen."""
        begin = first
        for number in sorted(self.blocks):
            base = number * BLOCK
            if base > last or base + BLOCK <= first:
                continue
            places = _places(self.blocks[number]) + base
            places = places[(places >= first) & (places <= last)]
            if not places.size:
                continue
            if (head := int(places[0])) > begin:
                yield begin, head - 1
            for at in np.flatnonzero(np.diff(places) > 1).tolist():
                yield int(places[at]) + 1, int(places[at + 1]) - 1
            begin = int(places[-1]) + 1
        if begin <= last:
            yield begin, last


def _places(bits: Bits) -> Integers:
    return np.flatnonzero(np.unpackbits(bits, bitorder="little"))
