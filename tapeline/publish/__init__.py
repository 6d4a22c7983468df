"""The way to Redis of whoever publishes a feed: ready commands, in order, bounded, nothing lost in silence."""

from tapeline.publish.address import RedisAddress, command, state
from tapeline.publish.publisher import Entry, Publisher

__all__ = ["Entry", "Publisher", "RedisAddress", "command", "state"]
