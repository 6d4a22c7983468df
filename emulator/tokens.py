"""Tokens of a venue that wants an HTTP call before every connection: issued, looked at on connecting, over after a time."""

from __future__ import annotations

import itertools
import secrets
from urllib.parse import parse_qsl, urlsplit

import msgspec

from emulator.spoken import made, put, value
from tapeline.spec.routing import Match
from tapeline.spec.session import Endpoint, Session
from tapeline.spec.template import Json, names

DAY = 86_400.0
_numbers = itertools.count(1)


class Tokens:
    """What a venue has issued; `ttl` is how long a token lives, in seconds. Times are seconds since the epoch."""

    def __init__(self, session: Session, ttl: float = DAY) -> None:
        self._session, self.ttl = session, ttl
        self._issued: dict[str, float] = {}
        self.refused = 0
        """Connections with no token, an unknown one or one that is over."""

    def prepared(self, path: str) -> Endpoint | None:
        """The endpoint whose preparing call has this path."""
        for place in self._session.endpoints:
            if place.prepare is not None and urlsplit(place.prepare.url).path.rstrip("/") == path.rstrip("/"):
                return place
        return None

    def issue(self, place: Endpoint, host: str, now: float) -> bytes:
        """The answer to a preparing call, with a new token in it where the endpoint's URL wants one."""
        prepare = place.prepare
        assert prepare is not None
        in_url = set(names(place.url)) | {name for url in place.alternatives for name in names(url)}
        wanted = [name for name, _ in prepare.extract]
        base = next((name for name in wanted if place.url.startswith(f"${{{name}}}")), "")
        values: dict[str, Json] = {}
        for name in wanted:
            if name == base:
                values[name] = f"wss://{host}/endpoint"
            elif name == prepare.lifetime:
                values[name] = max(1, int(self.ttl))
            elif name in in_url:
                token = f"{next(_numbers)}-{secrets.token_hex(12)}"
                self._issued[token] = now + self.ttl
                values[name] = token
            else:
                values[name] = self._beat(name)
        self._issued = {token: until for token, until in self._issued.items() if until > now}
        whole: list[Json] = [value(made(_granting(prepare.failed)).decode())]
        for name, path in prepare.extract:
            put(whole, path, values[name])
        return msgspec.json.encode(whole[0])

    def _beat(self, name: str) -> Json:
        """A heartbeat's interval or patience, in the units the session half counts in."""
        for ping in self._session.client_pings:
            if ping.variable == name:
                return round(ping.every / ping.unit)
            if ping.timeout_variable == name:
                return round(ping.timeout / ping.unit)
        return 1

    def until(self, url: str, now: float) -> float | None:
        """Until when a connection to a URL may stay: 0 for ever, None if its token is not good."""
        if not any(place.prepare is not None and self._takes(place) for place in self._session.endpoints):
            return 0.0
        given = [self._issued[text] for _, text in parse_qsl(urlsplit(url).query) if text in self._issued]
        good = [until for until in given if until > now]
        if not good:
            self.refused += 1
            return None
        return min(good)

    def expire(self) -> None:
        """All tokens are over now."""
        self._issued.clear()

    @staticmethod
    def _takes(place: Endpoint) -> bool:
        """Whether the endpoint's URL holds what was extracted, beyond the place to connect to."""
        extracted = [name for name, _ in place.prepare.extract] if place.prepare else []
        return any(name in names(urlsplit(place.url).query) for name in extracted)


def _granting(failed: tuple[Match, ...]) -> tuple[Match, ...]:
    """What an answer says so that it is no refusal: the opposite of what tells one."""
    return tuple(Match(match.path, match.equals) for match in failed if match.absent)
