"""Refuses a session half that is wrong in itself."""

from __future__ import annotations

from collections.abc import Iterator

from tapeline.errors import SpecIncompleteError
from tapeline.spec.session import (
    AckBy,
    Batch,
    Carrier,
    Family,
    Resync,
    Scope,
    Session,
)
from tapeline.spec.template import names

_ALWAYS = {"channel", "family"}


def validate(venue: str, session: Session) -> None:
    """Raises SpecIncompleteError naming every fault of a session half."""
    faults = [*_inconsistent(session), *_templates(session), *_requests(session), *_endpoints(session)]
    if faults:
        raise SpecIncompleteError(f"session half of {venue}: " + "; ".join(faults))


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
    placeless = {endpoint.name for endpoint in session.endpoints if not endpoint.url}
    requests = {request.name for request in session.requests}
    families = {family.name for family in session.families}
    if len(families) != len(session.families):
        yield "two families of one name"
    for family in session.families:
        if family.endpoint not in endpoints:
            yield f"family {family.name}: no endpoint {family.endpoint!r}"
        if (family.resync is Resync.REQUEST) != bool(family.snapshot) or family.snapshot not in requests | {""}:
            yield f"family {family.name}: resync by request and snapshot {family.snapshot!r} do not go together"
        if family.poll is not None and family.poll.request not in requests:
            yield f"family {family.name}: polls by the unknown request {family.poll.request!r}"
        if family.backfill and family.backfill not in requests:
            yield f"family {family.name}: back-fills by the unknown request {family.backfill!r}"
        if family.endpoint in placeless and family.poll is None:
            yield f"family {family.name}: endpoint {family.endpoint!r} has no URL, so it must be polled"
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
    form = session.subscription
    if ack.key and form.batch is not Batch.ONE:
        yield "an ack tells one key, so there is one channel in a message (batch one)"
    if "key" in names(form.unsubscribe) and not ack.key:
        yield "unsubscribe asks for a key, which no ack tells"


def _templates(session: Session) -> Iterator[str]:
    form = session.subscription
    for family in session.families:
        fields = dict(family.fields)
        given = [names(pattern) | set(fields) | _ALWAYS for pattern in family.patterns]
        for pieces in given:
            inner = {name for value in fields.values() for name in names(value)}
            for place, asked, extra in (
                ("argument", names(family.argument) if family.poll is None else set(), set()),
                ("group", names(form.group), set()),
                ("subscribe", names(form.subscribe), {"id", "args"}),
                ("unsubscribe", names(form.unsubscribe), {"id", "args", "key"}),
                ("fields", inner, {"id", "args"}),
            ):
                missing = asked - pieces - extra
                if missing:
                    yield f"family {family.name}: {place} asks for {', '.join(sorted(missing))}"
        for name, extra in _asked(family):
            request = next((r for r in session.requests if r.name == name), None)
            asked = names(f"{request.url} {request.body} {request.message}") if request is not None else set()
            for pieces in given:
                if missing := asked - pieces - extra:
                    yield f"request {name}: asks for {', '.join(sorted(missing))}, which family {family.name} has not"
    for template in (*session.channels,):
        if names(template) - {"symbol"}:
            yield f"channel template {template!r} asks for more than the symbol"


def _asked(family: Family) -> Iterator[tuple[str, set[str]]]:
    """The requests made for a family's channels, and what is there beside their pieces."""
    if family.snapshot:
        yield family.snapshot, {"id", "key"}
    if family.backfill:
        yield family.backfill, {"id", "key", "cursor", *(("until",) if family.backfill_span else ())}
    if family.poll is not None:
        yield family.poll.request, {"id", "cursor"}


def _requests(session: Session) -> Iterator[str]:
    for request in session.requests:
        if bool(request.url) == bool(request.message):
            yield f"request {request.name}: either a url or a message"
        if request.message and not (request.id or request.answer_channel):
            yield f"request {request.name}: its answer is found by nothing"


def _endpoints(session: Session) -> Iterator[str]:
    form = session.subscription
    for endpoint in session.endpoints:
        if endpoint.signer:
            # What a signer gives is known when it has given it.
            continue
        told = {name for name, _ in endpoint.prepare.extract} if endpoint.prepare is not None else set()
        told |= {"nonce"}
        urls = " ".join((endpoint.url, *endpoint.alternatives))
        spelled = " ".join(opening.message for opening in endpoint.openings)
        headers = " ".join(value for _, value in endpoint.headers)
        for place, text, extra in (
            ("url", urls, {"args"} if form.batch is Batch.URL else set()),
            ("a header", headers, set()),
            ("an opening", spelled, {"id"}),
        ):
            if missing := names(text) - told - extra:
                yield f"endpoint {endpoint.name}: {place} asks for {', '.join(sorted(missing))}"
        if endpoint.prepare is not None and endpoint.prepare.lifetime not in told | {""}:
            yield f"endpoint {endpoint.name}: the lifetime {endpoint.prepare.lifetime!r} is not among its variables"
