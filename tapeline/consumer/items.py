"""What a consumer gets: messages, and holes between them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import cast

import databento_dbn as dbn
import msgspec
import numpy as np
from numpy.typing import NDArray

from tapeline.channels import ChannelName
from tapeline.consumer.layout import LAYOUTS
from tapeline.errors import RefusedError

# The stub calls the enum's members integers.
_AS_IS = cast(dbn.VersionUpgradePolicy, dbn.VersionUpgradePolicy.AS_IS)


class Reason(Enum):
    """Why there is a hole."""

    DISCONNECTED = "disconnected"
    """The connection to Redis ended, or said nothing for too long."""
    SLOW = "slow"
    """The connection ended after this consumer had stopped reading: Redis cuts off who does not keep up."""
    UNJOINED = "unjoined"
    """A channel's live updates could not be joined to a snapshot of its book in time."""
    DOUBTFUL = "doubtful"
    """The publisher itself flagged the book as possibly wrong, from here on until the next snapshot."""
    MISSED = "missed"
    """Where two instances are merged: neither brought in time what a book's ids show to be missing."""
    MALFORMED = "malformed"
    """What came on a channel was no whole DBN records of its schema."""
    RESTARTED = "restarted"
    """The channel begins anew (a replay, at whatever time): what comes does not go on from what was had."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Something may be missing; after it, books start again with a snapshot.

    `pattern` is the subscription, or the one channel's name, concerned. Times are ns since the epoch, on this machine's
    clock for DISCONNECTED and SLOW, else in `ts_recv`; 0 where it is not known since when.
    """

    pattern: str
    from_ns: int
    to_ns: int
    reason: Reason


class Message(msgspec.Struct, eq=False, gc=False):
    """Whole DBN version 3 records of one channel, back to back, without metadata.

    `received_ns` is when they were read off the socket, ns since the epoch. A `snapshot` comes from the late-join keys
    and takes the place of all that was had before on that channel.
    """

    channel: ChannelName
    data: bytes
    received_ns: int
    snapshot: bool = False

    def __repr__(self) -> str:
        kind = "snapshot" if self.snapshot else "message"
        return f"<{kind} of {len(self)} records on {self.channel.format()}>"

    def __len__(self) -> int:
        return len(self.data) // LAYOUTS[self.channel.schema].stride

    def array(self) -> NDArray[np.void]:
        """The records as a read-only structured array over `data`, with DBN's field names."""
        return np.frombuffer(self.data, LAYOUTS[self.channel.schema].dtype)

    def records(self) -> list[dbn.DBNRecord]:
        """The records as databento's own objects; raises RefusedError where databento's decoder refuses them."""
        decoder = dbn.DBNDecoder(has_metadata=False, input_version=3, upgrade_policy=_AS_IS)
        decoder.write(self.data)
        try:
            return [record for record in decoder.decode() if not isinstance(record, dbn.Metadata)]
        except dbn.DBNError as error:
            raise RefusedError(f"{self.channel.format()}: {error}") from None


@dataclass(slots=True)
class Counts:
    """Running totals of a consumer."""

    messages: int = 0
    records: int = 0
    repeats: int = 0
    """Records that were had already."""
    overlapping: int = 0
    """Messages that another pattern of ours brings too."""
    malformed: int = 0
    foreign: int = 0
    """Messages on channels whose names are not ours."""
    holes: int = 0
    reconnects: int = 0
