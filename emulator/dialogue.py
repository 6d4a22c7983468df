"""A venue's conversation made from its session half: acks, keys, pings of both sides, questions over the socket."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from emulator.reel import KEY_WIDTH
from emulator.spoken import by_paths, hear, made, parsed, value
from emulator.venue import Act, Ask, Asked, Hang, Reply, Say, Subscribe, Unsubscribe
from tapeline.spec.session import AckBy, Batch, Carrier, ClientPing, Endpoint, Opening, ServerPing, Session
from tapeline.spec.subscribe import Channel, Command, Operation, argument, channel, command, pieces
from tapeline.spec.template import Json, names

_keys = itertools.count(random.randrange(10 ** (KEY_WIDTH - 1), 5 * 10 ** (KEY_WIDTH - 1)))
"""No two connections ever name a channel alike."""
_MISSED = 3
"""So many unanswered pings end a connection."""


class GenericDialogue:
    """Subscribe and unsubscribe in the session's form, answered by the smallest message its conditions accept."""

    key_form = "${key}"
    """How a key stands in an ack (and, with `KEY_MARK`, in the data)."""

    def __init__(self, session: Session, known: Collection[str] = (), url: str = "") -> None:
        self._session, self._url = session, url
        self._known = known
        self._place = endpoint(session, url)
        self._subscribed: dict[str, str] = {}
        self._heard_ns = 0
        self._pinged_ns: dict[int, int] = {}
        self._unanswered = 0

    def greet(self, now_ns: int) -> list[Act]:
        """What the endpoint's gate waits for, and the channels its URL names."""
        self._heard_ns = now_ns
        places = [self._place] if self._place else list(self._session.endpoints)
        gates = {place.gate.wait for place in places if place.gate.wait}
        said: list[Act] = [Say(made(wait)) for wait in gates]
        if self._session.subscription.batch is Batch.URL:
            said += [self._take(name) for name in self._named()]
        return said

    def _named(self) -> list[str]:
        """The channels that the URL asks for."""
        actual = dict(parse_qsl(urlsplit(self._url).query))
        asked: list[str] = []
        for place in self._session.endpoints:
            form = dict(parse_qsl(urlsplit(place.url).query))
            key = next((key for key, text in form.items() if text == "${args}"), "")
            asked += actual.get(key, "").split(self._session.subscription.separator) if key else []
        wanted = {argument(found).strip('"'): name for name in self._known if (found := channel(self._session, name))}
        return [wanted[text] for text in asked if text in wanted]

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """An ack, then the channels; pings get their pongs, openings what they expect, questions the market's answer."""
        self._heard_ns = now_ns
        message = parsed(text)
        if (pong := self._pong(message)) is not None:
            return [pong]
        if self._answers_ping(message):
            self._unanswered = 0
            return []
        asked = command(self._session, text, self._place.name if self._place else "")
        if asked is not None:
            return self.granted(asked, now_ns)
        if (ask := self._question(message)) is not None:
            return [Reply(ask)]
        return [*(Say(made(o.expect)) for o in self._openings(message)[:1])]

    def granted(self, asked: Command, now_ns: int) -> list[Act]:
        """What a subscribe or unsubscribe message brings about."""
        if asked.operation is Operation.UNSUBSCRIBE:
            if asked.key:
                asked = replace(asked, channels=self._of_key(asked.key))
            for name in asked.channels:
                self._subscribed.pop(name, None)
            gone: list[Act] = [Unsubscribe(name) for name in asked.channels]
            return [*gone, *self.acks(asked)]
        wanted, replaced = list(asked.channels), []
        if self._session.subscription.batch is Batch.REPLACE:
            replaced = [name for name in self._subscribed if name not in wanted]
            wanted = [name for name in wanted if name not in self._subscribed]
            for name in replaced:
                del self._subscribed[name]
        taken = [self._take(name) for name in wanted]
        return [*map(Unsubscribe, replaced), *self.acks(asked), *taken]

    def _of_key(self, key: str) -> tuple[str, ...]:
        form = self.key_form.partition("${key}")
        return tuple(name for name, own in self._subscribed.items() if own and form[0] + own + form[2] == key)

    def _take(self, name: str) -> Subscribe:
        key = str(next(_keys)) if self._session.subscription.ack.key else ""
        self._subscribed[name] = key
        return Subscribe(name, key=key)

    def acks(self, asked: Command) -> list[Act]:
        """The answer, or one for each channel."""
        ack = self._session.subscription.ack
        granted = asked.operation is Operation.SUBSCRIBE
        when = ack.when if granted else ack.when_unsubscribed or ack.when
        places: dict[str, Json] = {ack.id: value(asked.number)} if ack.id and asked.number else {}
        if ack.by is AckBy.NONE or not when:
            return []
        if ack.by is AckBy.CHANNEL:
            return [Say(made(when, {**places, **self._told(name)})) for name in asked.channels]
        if ack.accepted is not None and not ack.accepted.inner and ack.accepted.channel == "{.}":
            places[ack.accepted.path] = list(asked.channels if ack.by is AckBy.ID else self._subscribed)
        if asked.channels and granted:
            places.update(self._key(asked.channels[0]))
        return [Say(made(when, places))]

    def _told(self, name: str) -> dict[str, Json]:
        """What names a channel, and its key, in an ack of its own."""
        ack = self._session.subscription.ack
        found = next((found for template in ack.channels if (found := by_paths(template, name))), {})
        return {**found, **self._key(name)}

    def _key(self, name: str) -> dict[str, Json]:
        path, key = self._session.subscription.ack.key, self._subscribed.get(name)
        return {path: value(self.key_form.replace("${key}", key))} if path and key else {}

    def _pong(self, message: Json) -> Say | None:
        for ping in self._session.client_pings:
            if ping.carrier is not Carrier.PROTOCOL and (found := hear(ping.message, message)) is not None:
                return Say(_pong_text(ping, found), plain=ping.carrier is Carrier.TEXT)
        return None

    def _answers_ping(self, message: Json) -> bool:
        pings = [ping for ping in self._session.server_pings if ping.carrier is not Carrier.PROTOCOL]
        return any(hear(ping.reply, message) is not None for ping in pings)

    def _question(self, message: Json) -> Ask | None:
        for request in self._session.requests:
            if not request.message:
                continue
            for family in self._session.families:
                found = hear(request.message, message, dict(family.fields)) if family.snapshot == request.name else None
                if found is None:
                    continue
                name = found.get("channel", "")
                for known in self._known if not name else ():
                    made_of = channel(self._session, known)
                    if made_of and made_of.family is family and _agree(made_of, found):
                        name = known
                read = channel(self._session, name)
                return Ask(Asked.SNAPSHOT, read.symbol if read else "", channel=name, number=found.get("id", ""))
        return None

    def _openings(self, message: Json) -> list[Opening]:
        places = [self._place] if self._place else list(self._session.endpoints)
        openings = [opening for place in places for opening in place.openings]
        return [opening for opening in openings if opening.expect and hear(opening.message, message) is not None]

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """The venue's own pings; the end of a client that does not answer them or says nothing itself."""
        said: list[Act] = []
        for number, ping in enumerate(self._session.server_pings):
            if ping.carrier is Carrier.PROTOCOL or not ping.every:
                continue
            then = self._pinged_ns.setdefault(number, now_ns)
            if now_ns - then >= ping.every * 1e9:
                self._pinged_ns[number] = now_ns
                if ping.reply:
                    self._unanswered += 1
                said.append(Say(ping_text(ping, now_ns // 1_000_000), plain=ping.carrier is Carrier.TEXT))
        silent = (now_ns - self._heard_ns) / 1e9
        patience = max((2 * p.every + p.timeout for p in self._session.client_pings if p.message), default=0.0)
        if self._unanswered > _MISSED or (patience and silent > patience):
            return [Hang(1000, "no heartbeat")]
        return said


def _agree(known: Channel, found: dict[str, str]) -> bool:
    own = pieces(known)
    return all(own.get(name, text) == text for name, text in found.items() if name != "id")


def _pong_text(ping: ClientPing, found: dict[str, str]) -> bytes:
    places: dict[str, Json] = {}
    form = parsed(ping.message.replace("${id}", "0").encode())
    if isinstance(form, dict) and "id" in found:
        # The request's number comes back where it was.
        for key, text in form.items():
            if text in (0, "0") and "${id}" in ping.message:
                places[key] = value(found["id"]) if text == 0 else found["id"]
    if ping.pong:
        return made(ping.pong, places)
    return ping.message.replace("ping", "pong").replace("${id}", found.get("id", "")).encode()


def ping_text(ping: ServerPing, number: int) -> bytes:
    """A venue's ping, with a number where the answer echoes one."""
    echoed = {name[1:]: number for name in names(ping.reply) if name.startswith("=")}
    return made(ping.when, dict(echoed))


def endpoint(session: Session, url: str) -> Endpoint | None:
    """The endpoint a URL is of, by host and path."""
    parts = urlsplit(url)
    for place in session.endpoints:
        for known in (place.url, *place.alternatives):
            form = urlsplit(known)
            if form.hostname == parts.hostname and form.path.rstrip("/") == parts.path.rstrip("/"):
                return place
    return None
