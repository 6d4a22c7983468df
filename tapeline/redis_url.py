"""Redis URLs that may name several servers of a cluster: `redis://a:7000,b:7001/0`."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def seeds(url: str) -> tuple[str, ...]:
    """A URL of one server for each place that a URL names."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or "," not in parts.netloc:
        return (url,)
    login, at_sign, places = parts.netloc.rpartition("@")
    return tuple(urlunsplit(parts._replace(netloc=login + at_sign + place)) for place in places.split(",") if place)


def at(url: str, host: str, port: int) -> str:
    """A URL with its place replaced by one server's."""
    parts = urlsplit(url)
    login, at_sign, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at_sign}{host if ':' not in host else f'[{host}]'}:{port}"))


def place_of(url: str) -> str:
    """Where a URL leads, without secrets."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
