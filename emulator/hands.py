"""What faults of frames may do on one connection: ids that go on shifted, openings out of turn."""

from __future__ import annotations

from emulator import exact
from emulator.contents import shifted
from emulator.feed import Feed
from emulator.packing import Packing
from emulator.personal import Own
from emulator.reel import Frame
from emulator.served import Served
from emulator.shapes import Shapes


class ConnectionHands:
    """Of one connection; `shifts` holds by how much a channel's ids are shifted from now on."""

    def __init__(self, served: Served, feed: Feed, own: Own) -> None:
        self._served, self._feed, self._own = served, feed, own
        self.packing: Packing = served.packing
        self.shapes: Shapes = served.shapes
        self.shifts: dict[int, int] = {}

    def name(self, channel: int) -> str:
        """A channel's id."""
        return self._served.tally.names[channel]

    def opening(self, channel: int) -> list[bytes]:
        """What a subscription of the channel would begin with now, as JSON."""
        begin = self._served.source.opening(self._feed, self.name(channel), self._served.clock())
        return [self._own.text(payload, self._own.keys.get(channel, "")) for payload in begin]

    def shift(self, channel: int, by: int) -> None:
        """From the next block on all ids of the channel are higher by so much more."""
        self.shifts[channel] = self.shifts.get(channel, 0) + by

    def shifted(self, frame: Frame, by: int) -> Frame:
        """A frame with its ids shifted; itself where they cannot be read."""
        try:
            value = exact.read(self.packing.unpack(frame.payload))
        except ValueError:
            return frame
        shifted(value, self.shapes.parts(self.name(frame.channel), value), by)
        return frame._replace(payload=self.packing.pack(exact.write(value)))
