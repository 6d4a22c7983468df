"""Refuses a session half that is wrong in itself, or that asks for what the session logic does not do yet."""

from __future__ import annotations

from collections.abc import Iterator

from tapeline.errors import SpecIncompleteError
from tapeline.spec.session import (
    AckBy,
    Batch,
    Carrier,
    Resync,
    Scope,
    Session,
    Severity,
)
from tapeline.spec.template import names

_ALWAYS = {"channel", "family"}


def validate(venue: str, session: Session) -> None:
    """Raises SpecIncompleteError naming every fault of a session half."""
    faults = [*_unsupported(session), *_inconsistent(session), *_templates(session)]
    if faults:
        raise SpecIncompleteError(f"session half of {venue}: " + "; ".join(faults))


def _unsupported(session: Session) -> Iterator[str]:
    batch = session.subscription.batch
    if batch not in (Batch.MANY, Batch.ONE):
        yield f"batch {batch.value!r} is not implemented"
    for endpoint in session.endpoints:
        if endpoint.prepare is not None or endpoint.signer:
            yield f"endpoint {endpoint.name}: a prepare step or a signer is not implemented"
    if any(ping.variable for ping in session.client_pings):
        yield "a client ping at a handshake's interval is not implemented"
    for rule in session.rules:
        if rule.severity in (Severity.PAUSE, Severity.RESUME):
            yield f"rule {rule.name}: severity {rule.severity.value!r} is not implemented"


def _inconsistent(session: Session) -> Iterator[str]:
    yield from _families(session)
    yield from _acks(session)
    requests = {request.name: request for request in session.requests}
    for name in session.instruments:
        if name not in requests or not requests[name].channel:
            yield f"instrument request {name!r} is missing or has no channel"
    for rule in session.rules:
        if rule.scope is Scope.REQUEST and not rule.id:
            yield f"rule {rule.name}: scope request needs the id's path"
        if rule.scope is Scope.CHANNEL and not rule.channels:
            yield f"rule {rule.name}: scope channel needs a channel template"
    for ping in session.server_pings:
        if ping.carrier is not Carrier.PROTOCOL and not (ping.when and ping.reply):
            yield "a server ping needs a condition and a reply"


def _families(session: Session) -> Iterator[str]:
    endpoints = {endpoint.name for endpoint in session.endpoints}
    requests = {request.name for request in session.requests}
    families = {family.name for family in session.families}
    if len(families) != len(session.families):
        yield "two families of one name"
    for family in session.families:
        if family.endpoint not in endpoints:
            yield f"family {family.name}: no endpoint {family.endpoint!r}"
        if (family.resync is Resync.REQUEST) != bool(family.snapshot) or family.snapshot not in requests | {""}:
            yield f"family {family.name}: resync by request and snapshot {family.snapshot!r} do not go together"
        if set(family.contains) - families:
            yield f"family {family.name}: contains an unknown family"
    for special in session.symbol_routes:
        if special.family not in families:
            yield f"a symbol route names the unknown family {special.family!r}"


def _acks(session: Session) -> Iterator[str]:
    ack = session.subscription.ack
    if ack.by is not AckBy.NONE and not ack.when:
        yield "acks need a condition that tells them"
    if ack.by is AckBy.ID and not ack.id:
        yield "acks by id need the id's path"
    if ack.by is AckBy.STATE and ack.accepted is None:
        yield "acks by state need the place of the state"
    if ack.by is AckBy.CHANNEL and not ack.channels:
        yield "acks by channel need a channel template"


def _templates(session: Session) -> Iterator[str]:
    form = session.subscription
    for family in session.families:
        fields = dict(family.fields)
        given = [names(pattern) | set(fields) | _ALWAYS for pattern in family.patterns]
        for pieces in given:
            inner = {name for value in fields.values() for name in names(value)}
            for place, asked, extra in (
                ("argument", names(family.argument), set()),
                ("group", names(form.group), set()),
                ("subscribe", names(form.subscribe), {"id", "args"}),
                ("unsubscribe", names(form.unsubscribe), {"id", "args"}),
                ("fields", inner, {"id", "args"}),
            ):
                missing = asked - pieces - extra
                if missing:
                    yield f"family {family.name}: {place} asks for {', '.join(sorted(missing))}"
        if family.snapshot:
            request = next((r for r in session.requests if r.name == family.snapshot), None)
            for pieces in given:
                missing = names(request.url) - pieces if request is not None else set()
                if missing:
                    yield f"request {family.snapshot}: url asks for {', '.join(sorted(missing))}"
    for template in (*session.channels,):
        if names(template) - {"symbol"}:
            yield f"channel template {template!r} asks for more than the symbol"
