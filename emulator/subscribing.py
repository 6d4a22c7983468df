"""Faults of subscribing: what becomes of a dialogue's acts; and notices in the venue's own words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from emulator import exact
from emulator.faults import Board, Command, Target
from emulator.spoken import made
from emulator.venue import Act, Say, Subscribe
from tapeline.spec.session import Session, Severity
from tapeline.spec.template import decode, fill


@dataclass(frozen=True, slots=True)
class Later:
    """An act that comes later."""

    act: Act
    seconds: float


def disturbed(acts: Sequence[Act], board: Board, party: str, session: Session) -> Sequence[Act | Later]:
    """The acts of a subscribe message with what is armed done to them."""
    out: list[Act | Later] = list(acts)
    for act in [act for act in acts if isinstance(act, Subscribe)]:
        fault = board.hit(Target.SUBSCRIPTION, act.channel, party)
        if fault is not None:
            out = _struck(out, act, fault, session)
    return out


def _struck(acts: list[Act | Later], act: Subscribe, fault: Command, session: Session) -> list[Act | Later]:
    without = [other for other in acts if other is not act]
    match fault.fault:
        case "data_before_ack":
            wanted = [other for other in acts if isinstance(other, Subscribe)]
            return [*wanted, *(other for other in acts if not isinstance(other, Subscribe))]
        case "late_ack":
            return [Later(other, fault.seconds) if isinstance(other, Say) else other for other in acts]
        case "replay_trades":
            again = replace(act, replayed=fault.size)
            return [again if other is act else other for other in acts]
        case "partial_ack":
            return [_without(other, act.channel, session) if isinstance(other, Say) else other for other in without]
        case "refuse":
            return [other for other in without if not isinstance(other, Say)]
    return without


def _without(said: Say, channel: str, session: Session) -> Say:
    """An ack whose list lacks a channel."""
    accepted = session.subscription.ack.accepted
    if accepted is None or accepted.inner:
        return said
    try:
        value = exact.read(said.payload)
    except ValueError:
        return said
    listed = exact.at(value, accepted.path)
    if not isinstance(listed, list):
        return said
    words = dict(accepted.words)
    listed[:] = [entry for entry in listed if _named(exact.write(entry), accepted.channel, words) != channel]
    return replace(said, payload=exact.write(value))


def _named(entry: bytes, template: str, words: dict[str, str]) -> str | None:
    value = decode(entry)
    return str(value) if template == "{.}" else fill(template, value, words)


def said_of(session: Session, *severities: Severity) -> Iterator[Say]:
    """The venue's notice of such a kind, where its session half knows one."""
    for severity in severities:
        for rule in session.rules:
            if rule.severity is severity:
                yield Say(made(rule.when))
                return
