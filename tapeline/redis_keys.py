"""The names of Redis keys: all of one feed (a provider's instance) share a hash tag, so that one node of a cluster holds them."""

from __future__ import annotations

from tapeline.channels import REPLAY, ChannelName


def feed(provider: str, instance: str) -> str:
    """How the keys of a feed begin."""
    return f"tapeline:{{{provider}:{instance}}}"


def cursor(provider: str, instance: str) -> str:
    """`epoch:sequence` of the last batch published."""
    return f"{feed(provider, instance)}:cursor"


def checkpoint(provider: str, instance: str) -> str:
    """Hash of the kernel's state by channel, and `position`."""
    return f"{feed(provider, instance)}:checkpoint"


def channels(provider: str, instance: str) -> str:
    """Set of the names of the channels that have been published."""
    return f"{feed(provider, instance)}:channels"


def replay(provider: str) -> str:
    """Held, with a token, by whoever replays history of a provider."""
    return f"{feed(provider, REPLAY)}:lease"


def snapshot(channel: ChannelName) -> str:
    """The last full book, trade, quote or definition of a channel."""
    return f"{feed(channel.provider, channel.instance)}:snapshot:{channel.format()}"


def feed_of(key: str) -> tuple[str, str] | None:
    """Provider and instance of a key of ours; None for any other."""
    tag, brace, _ = key.removeprefix("tapeline:{").partition("}")
    provider, colon, instance = tag.rpartition(":")
    return (provider, instance) if key.startswith("tapeline:{") and brace and colon else None
