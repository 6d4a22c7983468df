"""Joins live updates of a book to its snapshot, so that nothing is missing between them and nothing is taken twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from tapeline.channels import ChannelName
from tapeline.consumer.items import Counts, Hole, Message, Reason
from tapeline.consumer.layout import LAYOUTS
from tapeline.consumer.seen import Seen
from tapeline.telemetry import count

Items = list[Message | Hole]


@dataclass(slots=True, eq=False)
class Channel:
    """One channel that is being followed."""

    name: ChannelName
    source: bytes
    """The one subscription it is taken from, where several would bring it."""
    text: str = field(init=False)
    seen: Seen = field(init=False)
    waiting: list[Message] | None = None
    """Live messages held back until there is a snapshot that they go on from; None once they are joined."""
    since: float = 0.0
    """When waiting began, in the event loop's seconds."""

    def __post_init__(self) -> None:
        self.text = self.name.format()
        self.seen = Seen(LAYOUTS[self.name.schema])

    @property
    def feed(self) -> tuple[str, str]:
        """Provider and instance."""
        return self.name.provider, self.name.instance


def connects(channel: Channel, snapshot: bytes) -> bool:
    """Whether the held messages prove that nothing is missing between them and a snapshot (empty: there is none).

    That is so where the snapshot already holds the first of them, where they are no news, or where they start with a
    cleared book.
    """
    if not channel.waiting:
        return False
    times = channel.seen.times(snapshot) if snapshot else {}
    starts: dict[int, tuple[int, bool]] = {}
    for message in channel.waiting:
        starts = {**channel.seen.starts(message.data), **starts}
    return all(
        clear or time <= max(times.get(instrument, 0), channel.seen.had(instrument))
        for instrument, (time, clear) in starts.items()
    )


def join(channel: Channel, snapshot: bytes, received_ns: int, proven: bool, counts: Counts) -> Items:
    """Ends the waiting: the snapshot where it brings news, then what was held back; a hole first where nothing proves it."""
    held, channel.waiting = channel.waiting or [], None
    items: Items = []
    if not proven:
        items.append(Hole(channel.text, channel.seen.newest, received_ns, Reason.UNJOINED))
    if snapshot and (fresh := channel.seen.snapshot(snapshot)):
        items.append(Message(channel.name, fresh, received_ns, snapshot=True))
    for message in held:
        taken(channel, message.data, message.received_ns, counts, items)
    return items


def taken(channel: Channel, data: bytes, received_ns: int, counts: Counts, items: Items) -> None:
    """Adds what is new in live records, after the hole that they themselves may tell of."""
    seen = channel.seen
    was_doubtful, before = seen.doubtful, seen.newest
    fresh = seen.take(data)
    if fresh is not data:
        repeats = (len(data) - len(fresh)) // seen.layout.stride
        counts.repeats += repeats
        count("consumer_repeats", repeats)
        if not fresh:
            return
    if seen.doubtful and not was_doubtful:
        items.append(Hole(channel.text, before, seen.newest, Reason.DOUBTFUL))
    items.append(Message(channel.name, fresh, received_ns))
