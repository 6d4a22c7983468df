"""Where a venue's URLs really lead: to the venue, or to an emulator that stands in for it."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from tapeline.errors import UsageError


class Addresses:
    """Rewrites URLs: with a base `http://host:port` the original host becomes the first part of the path."""

    def __init__(self, base: str | None, venue: str) -> None:
        self._venue = venue
        self._base = None
        if base:
            parts = urlsplit(base)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise UsageError(f"--endpoint-base {base!r} is no http:// or https:// URL")
            self._base = (parts.scheme, parts.netloc, parts.path.rstrip("/"))

    def of(self, url: str) -> str:
        """The URL to use: `ws` or `http` after the kind of the original, with its host, path and query kept."""
        if self._base is None:
            return url
        scheme, netloc, path = self._base
        parts = urlsplit(url)
        if parts.scheme in ("tcp", "tls"):
            # A bare connection has no path: whoever stands in tells it by its first bytes.
            return urlunsplit(("tls" if scheme == "https" else "tcp", netloc, "", "", ""))
        if parts.scheme in ("ws", "wss"):
            scheme = "wss" if scheme == "https" else "ws"
        return urlunsplit((scheme, netloc, f"{path}/{self._venue}/{parts.hostname}{parts.path}", parts.query, ""))
