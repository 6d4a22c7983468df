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
        was_doubtful = channel.seen.doubtful
        add(channel, message, channel.seen.take(message.data), was_doubtful, counts, items)
    return items


def begin_anew(channel: Channel, received_ns: int) -> Items:
    """Forgets what was had of a channel whose publisher says, by an empty message, that it begins anew."""
    newest, channel.seen = channel.seen.newest, Seen(LAYOUTS[channel.name.schema])
    return [Hole(channel.text, newest, received_ns, Reason.RESTARTED)] if newest else []


def add(
    channel: Channel, message: Message, fresh: bytes | None, was_doubtful: bool, counts: Counts, items: Items
) -> None:
    """Adds to items what of a live message is `fresh`, after the hole that its records themselves may tell of.

    `fresh` is what `Seen.take` made of it.
    """
    seen = channel.seen
    if fresh is None:
        counts.malformed += 1
        count("consumer_malformed")
        items.append(Hole(channel.text, seen.newest, message.received_ns, Reason.MALFORMED))
        return
    if fresh is not message.data:
        repeats = (len(message.data) - len(fresh)) // seen.layout.stride
        counts.repeats += repeats
        count("consumer_repeats", repeats)
        if not fresh:
            return
        message = Message(channel.name, fresh, message.received_ns)
    if seen.doubtful and not was_doubtful:
        items.append(Hole(channel.text, seen.doubted_from, seen.newest, Reason.DOUBTFUL))
    items.append(message)
