"""Which channels ride on which connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tapeline.errors import UsageError
from tapeline.spec.session import Endpoint, Session
from tapeline.spec.subscribe import Channel, channel
from tapeline.spec.template import render


@dataclass(frozen=True, slots=True)
class Shard:
    """One connection's endpoint and channels."""

    endpoint: Endpoint
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a venue's connections, the REST channels asked for, and what was left out (channel, reason)."""

    shards: tuple[Shard, ...]
    requests: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def for_symbols(session: Session, symbols: Iterable[str]) -> list[str]:
    """The channels subscribed for symbols, with the common and instrument ones; no symbols: the venue's own choice."""
    wanted = list(symbols) or list(session.symbols)
    ids = [render(template, {"symbol": symbol}) for symbol in wanted for template in session.channels]
    return [*session.common, *_instrument_channels(session), *ids]


def plan(session: Session, identifiers: Iterable[str]) -> Plan:
    """Shards channels over connections within the venue's limits; raises UsageError where they do not suffice."""
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
    shards = [shard for endpoint in session.endpoints for shard in _shards(session, endpoint, known)]
    return Plan(tuple(shards), tuple(requests), tuple(left_out))


def _instrument_channels(session: Session) -> list[str]:
    return [request.channel for request in session.requests if request.name in session.instruments]


def _contained(known: dict[str, Channel]) -> list[tuple[Channel, str]]:
    holders = {(name, outer.symbol): outer.id for outer in known.values() for name in outer.family.contains}
    return [
        (inner, holders[inner.family.name, inner.symbol])
        for inner in known.values()
        if (inner.family.name, inner.symbol) in holders
    ]


def _shards(session: Session, endpoint: Endpoint, known: dict[str, Channel]) -> list[Shard]:
    shards: list[list[Channel]] = []
    for found in known.values():
        if found.family.endpoint != endpoint.name:
            continue
        for shard in shards:
            if _has_room(endpoint, shard, found):
                shard.append(found)
                break
        else:
            shards.append([found])
    if endpoint.max_connections and len(shards) > endpoint.max_connections:
        raise UsageError(
            f"{len(known)} channels need {len(shards)} connections to {endpoint.name}, the venue allows {endpoint.max_connections}"
        )
    return [Shard(endpoint, tuple(shard)) for shard in shards]


def _has_room(endpoint: Endpoint, shard: list[Channel], found: Channel) -> bool:
    if endpoint.max_channels and len(shard) >= endpoint.max_channels:
        return False
    most = found.family.max_channels
    return not most or sum(1 for other in shard if other.family is found.family) < most
