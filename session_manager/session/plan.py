"""Which channels ride on which connection, which are polled, and which are left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tapeline.errors import UsageError
from tapeline.spec.session import Endpoint, Session
from tapeline.spec.subscribe import Channel, channel
from tapeline.spec.template import render


@dataclass(eq=False, slots=True)
class Shard:
    """One connection's endpoint and channels, by id; they may change while it lives."""

    endpoint: Endpoint
    channels: dict[str, Channel] = field(default_factory=dict)

    def has_room(self, found: Channel) -> bool:
        """Whether the venue's limits allow one more channel."""
        if self.endpoint.max_channels and len(self.channels) >= self.endpoint.max_channels:
            return False
        most = found.family.max_channels
        return not most or sum(1 for other in self.channels.values() if other.family is found.family) < most


@dataclass(frozen=True, slots=True)
class Selection:
    """What channel ids come to: subscribed and polled channels, requests by name, and what is left out (channel, reason)."""

    subscribed: dict[str, Channel]
    polled: dict[str, Channel]
    requests: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a venue's connections, and what else its channels come to."""

    shards: tuple[Shard, ...]
    polled: tuple[Channel, ...]
    requests: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def for_symbols(session: Session, symbols: Iterable[str]) -> list[str]:
    """The channels subscribed for symbols, with the common and instrument ones; no symbols: the venue's own choice."""
    wanted = list(symbols) or list(session.symbols)
    ids = [render(template, {"symbol": symbol}) for symbol in wanted for template in session.channels]
    return [*session.common, *_instrument_channels(session), *ids]


def select(session: Session, identifiers: Iterable[str]) -> Selection:
    """Tells channel ids apart."""
    requested = {request.channel: request.name for request in session.requests if request.channel}
    left_out: list[tuple[str, str]] = []
    requests: list[str] = []
    known: dict[str, Channel] = {}
    for identifier in dict.fromkeys(identifiers):
        if identifier in requested:
            requests.append(requested[identifier])
            continue
        found = channel(session, identifier)
        if found is None:
            left_out.append((identifier, "no family of the venue has such channels"))
        else:
            known[identifier] = found
    left_out += [(inner.id, f"contained in {outer}") for inner, outer in _contained(known)]
    for identifier, _ in left_out:
        known.pop(identifier, None)
    subscribed = {identifier: one for identifier, one in known.items() if one.family.poll is None}
    polled = {identifier: one for identifier, one in known.items() if one.family.poll is not None}
    return Selection(subscribed, polled, tuple(requests), tuple(left_out))


def plan(session: Session, identifiers: Iterable[str]) -> Plan:
    """Shards channels over connections within the venue's limits; raises UsageError where they do not suffice."""
    selection = select(session, identifiers)
    shards: list[Shard] = []
    _placed(session, shards, selection.subscribed)
    # In the order of the endpoints, whatever the order of the channels.
    order = [endpoint.name for endpoint in session.endpoints]
    shards.sort(key=lambda shard: order.index(shard.endpoint.name))
    return Plan(tuple(shards), tuple(selection.polled.values()), selection.requests, selection.left_out)


def check_room(session: Session, shards: Iterable[Shard], wanted: dict[str, Channel]) -> None:
    """Raises UsageError where channels, of which some are placed, do not find room within the venue's limits."""
    kept = [Shard(one.endpoint, {i: known for i, known in one.channels.items() if i in wanted}) for one in shards]
    placed = {channel for shard in kept for channel in shard.channels}
    _placed(session, kept, {channel: known for channel, known in wanted.items() if channel not in placed})


def _placed(session: Session, shards: list[Shard], wanted: dict[str, Channel]) -> None:
    refused = place(session, shards, wanted.values())
    if refused:
        endpoint = endpoint_of(session, refused[0])
        raise UsageError(
            f"{len(refused)} of {len(wanted)} channels find no place: the venue allows "
            f"{endpoint.max_connections} connections to {endpoint.name}"
        )


def place(session: Session, shards: list[Shard], channels: Iterable[Channel]) -> list[Channel]:
    """Puts channels on connections with room, on new ones where there is none; those for which the venue allows none."""
    open_: dict[str, list[Shard]] = {}
    for shard in shards:
        open_.setdefault(shard.endpoint.name, []).append(shard)
    refused = []
    for found in channels:
        endpoint = endpoint_of(session, found)
        beside = open_.setdefault(endpoint.name, [])
        home = next((shard for shard in beside if shard.has_room(found)), None)
        if home is None:
            if endpoint.max_connections and len(beside) >= endpoint.max_connections:
                refused.append(found)
                continue
            home = Shard(endpoint)
            beside.append(home)
            shards.append(home)
        home.channels[found.id] = found
    return refused


def endpoint_of(session: Session, found: Channel) -> Endpoint:
    """The endpoint of a channel's family."""
    return next(endpoint for endpoint in session.endpoints if endpoint.name == found.family.endpoint)


def _instrument_channels(session: Session) -> list[str]:
    return [request.channel for request in session.requests if request.name in session.instruments]


def _contained(known: dict[str, Channel]) -> list[tuple[Channel, str]]:
    holders = {(name, outer.symbol): outer.id for outer in known.values() for name in outer.family.contains}
    return [
        (inner, holders[inner.family.name, inner.symbol])
        for inner in known.values()
        if (inner.family.name, inner.symbol) in holders
    ]
