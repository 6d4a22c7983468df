"""Which frame belongs to which channel, and which is control: the part of a session half that the kernel runs."""

from __future__ import annotations

from dataclasses import dataclass

from tapeline.schemas import Schema
from tapeline.spec.decoding import Decoder


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on one value of a JSON payload.

    `path` names object keys and array places joined by dots (`params.channel`, `data.0.symbol`, `-1`); `*` is the object's first
    array or object, where its key is not known beforehand (and no other path names it); in an entry of
    `each` a path that starts with a dot is the entry's, any other the payload's. `equals` lists the accepted values as
    they stand in the text, without quotes, `like` globs (`*` and `?`) of which one must fit; without either the value
    need only be there. `absent` turns that round.
    """

    path: str
    equals: tuple[str, ...] = ()
    absent: bool = False
    like: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Frames that are data of one channel.

    `channel` is a template over paths, `{stream}` or `{channel}.{data.0.symbol}`; every path in it must be there.
    `{@path}` alone is the channel whose key (`Ack.key`) stands at the path, as this connection's acks have told.
    `words` replaces whole values of the template's paths (`("l2update", "level2")`). With `endpoints` the route holds only for
    connections to these. Routes are tried in order; a frame that fits none is the session logic's (control).
    """

    channel: str
    when: tuple[Match, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    endpoints: tuple[str, ...] = ()
    cursor: str = ""
    """A path whose newest value is remembered for the channel: `${cursor}` of its family's back-fill."""


@dataclass(frozen=True, slots=True)
class ChannelSchema:
    """The DBN schema of every channel that fits a glob (`*` and `?`); the first that fits counts."""

    glob: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Routing:
    """All of a venue's routes and its channels' schemas."""

    routes: tuple[Route, ...]
    schemas: tuple[ChannelSchema, ...]
    decoder: Decoder | None = None
