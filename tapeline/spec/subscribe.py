"""Channel ids ↔ subscribe messages, both ways, from a `Session` alone: for the session logic and for whoever plays the venue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import msgspec

from tapeline.spec.routing import Match, Routing
from tapeline.spec.session import Batch, Family, Session
from tapeline.spec.template import Json, decode, names, read, render, text_of

_MARK = "\x00"
_NOTHING = f"{_MARK}{_MARK}"
"""A form that fits no message."""


class Operation(Enum):
    """What a client message asks for."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel id with its family and the pieces its pattern gives."""

    id: str
    family: Family
    pieces: tuple[tuple[str, str], ...]

    @property
    def symbol(self) -> str:
        """The piece or field `symbol`; empty where the channel has none."""
        known = pieces(self)
        return render(known["symbol"], known) if "symbol" in known else ""


@dataclass(frozen=True, slots=True)
class Call:
    """One subscribe or unsubscribe message as it goes out."""

    operation: Operation
    number: int
    text: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A client message read back; `number` is the request's own (empty where it has none) as it stood in the message.

    `key` is what stands for the channel in a message that names it by the key of its ack; it has no `channels` then.
    """

    operation: Operation
    number: str
    channels: tuple[str, ...]
    key: str = ""


def channel(session: Session, identifier: str) -> Channel | None:
    """The channel of an id: the first family with a pattern that fits; None where no family knows it."""
    for family in session.families:
        for pattern in family.patterns:
            pieces = read(pattern, identifier)
            if pieces is not None:
                return Channel(identifier, family, tuple(pieces.items()))
    return None


def pieces(known: Channel) -> dict[str, str]:
    """All pieces a channel's templates may use."""
    return {**dict(known.pieces), **dict(known.family.fields), "channel": known.id, "family": known.family.name}


def argument(known: Channel) -> str:
    """What stands for a channel in a subscribe message."""
    return render(known.family.argument, pieces(known))


def calls(
    session: Session,
    operation: Operation,
    channels: Sequence[Channel],
    number: Callable[[], int],
    keys: Mapping[str, str] | None = None,
) -> list[Call]:
    """The messages that (un)subscribe channels, each with a `number` of its own; grouped, batched and bounded as the venue wants.

    `keys` holds the keys of channels (by id) whose acks gave one. Where messages replace one another, `channels` is the whole set;
    where the set stands in the URL, there are none.
    """
    form = session.subscription
    if form.batch is Batch.URL or not channels:
        return []
    template = form.subscribe if operation is Operation.SUBSCRIBE else form.unsubscribe
    groups: dict[str, list[Channel]] = {}
    for known in channels:
        groups.setdefault(render(form.group, pieces(known)) if form.group else "", []).append(known)
    made: list[Call] = []
    for group in groups.values():
        for part in _batches(session, group):
            own = number()
            text = _message(template, part, form.separator, own, keys or {})
            made.append(Call(operation, own, text, tuple(known.id for known in part)))
    return made


def routing(session: Session, channels: Iterable[str]) -> Routing:
    """The routing for these subscriptions: symbol routes of those whose family is among them, then the plain routes."""
    wanted = [known for known in (channel(session, identifier) for identifier in channels) if known is not None]
    extra = []
    for special in session.symbol_routes:
        symbols = tuple(sorted({known.symbol for known in wanted if known.family.name == special.family}))
        if symbols:
            extra.append(replace(special.route, when=(*special.route.when, Match(special.path, symbols))))
    return replace(session.routing, routes=(*extra, *session.routing.routes))


def command(session: Session, text: bytes | str, endpoint: str = "") -> Command | None:
    """Reads a client message that has the venue's subscribe or unsubscribe form; None for any other.

    Keys the template does not name are ignored, and arguments that no family knows are left out. With the name of the
    `endpoint` it went to only that one's families count: arguments may be alike in two.
    """
    if endpoint:
        session = replace(session, families=tuple(f for f in session.families if f.endpoint == endpoint))
    try:
        message = decode(text)
    except msgspec.DecodeError:
        return None
    form = session.subscription
    for operation, template in ((Operation.SUBSCRIBE, form.subscribe), (Operation.UNSUBSCRIBE, form.unsubscribe)):
        if not template:
            continue
        found: dict[str, None] = {}
        number = None
        key = ""
        for family in session.families if form.group or form.batch is Batch.ONE else session.families[:1]:
            bound = _bind(template, family, message, form.separator)
            if bound is None:
                continue
            number = bound.number
            key = bound.pieces.get("key", "")
            for identifier in _identifiers(session, family, bound, alone=bool(form.group)):
                found.setdefault(identifier)
        if number is not None:
            return Command(operation, number, tuple(found), key)
    return None


def joined(session: Session, channels: Iterable[Channel]) -> str:
    """What stands for channels where all of them stand in one place, as in an endpoint's URL."""
    return session.subscription.separator.join(argument(known) for known in channels)


def _message(template: str, part: Sequence[Channel], separator: str, number: int, keys: Mapping[str, str]) -> str:
    arguments = separator.join(argument(known) for known in part)
    # A channel without a key is one the venue does not know: null says so.
    key = keys.get(part[0].id, "null")
    return render(template, {**pieces(part[0]), "args": arguments, "id": str(number), "key": key})


def _batches(session: Session, group: Sequence[Channel]) -> list[list[Channel]]:
    form = session.subscription
    if form.batch is Batch.REPLACE:
        return [list(group)]
    most = 1 if form.batch is Batch.ONE else form.max_args or len(group)
    made: list[list[Channel]] = []
    size = 0
    for known in group:
        length = len(argument(known)) + len(form.separator)
        if not made or len(made[-1]) >= most or (form.max_bytes and size + length > form.max_bytes):
            made.append([])
            size = 0
        made[-1].append(known)
        size += length
    return made


@dataclass(frozen=True, slots=True)
class _Bound:
    number: str
    arguments: tuple[Json, ...] | None
    pieces: dict[str, str]


def _bind(template: str, family: Family, message: Json, separator: str) -> _Bound | None:
    """Unifies a message with the template filled for a family."""
    form = _marked(template, family)
    seen: dict[str, Json] = {}
    if form is _NOTHING or not _unify(form, message, seen):
        return None
    arguments = seen.pop("args", None)
    number = text_of(seen.pop("id", ""))
    if "key" in seen:
        seen["key"] = text_of(seen["key"])
    texts = {name: value for name, value in seen.items() if isinstance(value, str)}
    listed = tuple(arguments) if isinstance(arguments, list) else None
    if isinstance(arguments, str):
        listed = tuple(arguments.split(separator)) if separator else (arguments,)
    return _Bound(number, listed, texts)


def _marked(template: str, family: Family) -> Json:
    """A template filled for a family and read as JSON; what is still unknown is marked, in quotes where it stands bare."""
    known = {**dict(family.fields), "family": family.name}
    unknown = (names(template) | {name for value in known.values() for name in names(value)}) - set(known)
    text = render(template, {**known, **{name: f"{_MARK}{name}{_MARK}" for name in unknown}})
    made, inside = "", False
    for place, part in enumerate(text.split(_MARK)):
        if place % 2:
            made += f"\\u0000{part}\\u0000" if inside else f'"\\u0000{part}\\u0000"'
            continue
        made += part
        inside ^= part.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 1
    try:
        return decode(made)
    except msgspec.DecodeError:
        return _NOTHING


def _unify(form: Json, message: Json, seen: dict[str, Json]) -> bool:
    if isinstance(form, dict):
        if not isinstance(message, dict):
            return False
        # The request's number may be left out, an option too: only what tells the form apart must be there.
        return all(
            _unify(value, message[key], seen) if key in message else _optional(value) for key, value in form.items()
        )
    if isinstance(form, list):
        if not isinstance(message, list):
            return False
        if form == [f"{_MARK}args{_MARK}"]:
            seen["args"] = message
            return True
        return len(form) == len(message) and all(_unify(a, b, seen) for a, b in zip(form, message, strict=True))
    if isinstance(form, str) and _MARK in form:
        return _unify_text(form, message, seen)
    return form == message or isinstance(form, int | bool)


def _unify_text(form: str, message: Json, seen: dict[str, Json]) -> bool:
    parts = form.split(_MARK)
    if parts[0] == "" and parts[2:] == [""]:
        seen[parts[1]] = message
        return True
    if not isinstance(message, str):
        return False
    found = read(_unmark(form), message)
    if found is None:
        return False
    seen.update(found)
    return True


def _optional(form: Json) -> bool:
    return isinstance(form, bool | int) or (isinstance(form, str) and form == f"{_MARK}id{_MARK}")


def _identifiers(session: Session, family: Family, bound: _Bound, alone: bool) -> list[str]:
    """Channel ids of a bound message: of one family (`alone`), or of whichever each argument fits."""
    if bound.arguments is None:
        made = _complete(family, bound.pieces)
        return [made] if made is not None else []
    found = []
    for entry in bound.arguments:
        for candidate in (family,) if alone else session.families:
            identifier = _from_argument(candidate, entry, bound.pieces)
            if identifier is not None:
                found.append(identifier)
                break
    return found


def _from_argument(family: Family, entry: Json, others: dict[str, str]) -> str | None:
    form = _marked(family.argument, family)
    seen: dict[str, Json] = {}
    if form is _NOTHING or not _unify(form, entry, seen):
        # A piece of a longer text, as in a topic with several symbols.
        bare = _argument_text(family)
        found = read(bare, entry) if isinstance(entry, str) else None
        if found is None:
            return None
        seen = dict(found)
    return _complete(family, {**others, **{name: value for name, value in seen.items() if isinstance(value, str)}})


def _argument_text(family: Family) -> str:
    fields = {**dict(family.fields), "family": family.name}
    unknown = names(family.argument) - set(fields)
    return _unmark(render(family.argument, {**fields, **{name: f"{_MARK}{name}{_MARK}" for name in unknown}}))


def _unmark(text: str) -> str:
    return "".join(f"${{{part}}}" if place % 2 else part for place, part in enumerate(text.split(_MARK)))


def _complete(family: Family, known: dict[str, str]) -> str | None:
    whole = known.get("channel")
    if whole is not None:
        return whole if any(read(pattern, whole) is not None for pattern in family.patterns) else None
    for pattern in family.patterns:
        if names(pattern) <= set(known):
            return render(pattern, known)
    return None
