"""The DBN schemas Tapeline publishes, named as in channel names."""

from __future__ import annotations

from enum import Enum


class Schema(Enum):
    """A DBN schema; the value is its name in channel names and partitions."""

    MBO = "MBO"
    MBP_1 = "MBP_1"
    MBP_10 = "MBP_10"
    TRADES = "TRADES"
    OHLCV_1M = "OHLCV_1M"
    STATISTICS = "STATISTICS"
    STATUS = "STATUS"
    DEFINITION = "DEFINITION"

    # Members are single objects; Enum's own hash is a Python function, too slow for once a message.
    __hash__ = object.__hash__

    @property
    def dbn(self) -> str:
        """The schema's name in DBN's own writing, such as `mbp-1`."""
        return self.value.lower().replace("_", "-")
