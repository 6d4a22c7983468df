"""Makes the HTTP requests the session logic asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx

from session_manager.session.actions import Fetch

_LONGEST_WAIT = 86_400.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came; `reason` is set where nothing did."""

    status: int = 0
    retry_after: float = 0.0
    """Seconds; 0 where the venue does not say."""
    body: bytes = b""
    reason: str = ""


class RestClient:
    """One client with its kept-alive connections."""

    def __init__(self, address: Callable[[str], str], direct: bool) -> None:
        self._address = address
        # A proxy of the environment is for the venues, not for an emulator next door.
        self._client = httpx.AsyncClient(
            headers={"User-Agent": "tapeline"}, follow_redirects=True, trust_env=not direct
        )

    async def fetch(self, fetch: Fetch) -> Answer:
        """Makes a request; never raises for what the other end does."""
        try:
            answer = await self._client.request(
                fetch.method.value,
                self._address(fetch.url),
                headers=dict(fetch.headers),
                content=fetch.body.encode() or None,
                timeout=httpx.Timeout(fetch.timeout),
            )
        except httpx.HTTPError as error:
            return Answer(reason=f"{type(error).__name__} {error}".strip())
        return Answer(answer.status_code, seconds(answer.headers.get("retry-after", "")), answer.content)

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()


def seconds(text: str) -> float:
    """What `Retry-After` says: a number of seconds, or a date."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return min(max(0.0, (date - datetime.now(date.tzinfo)).total_seconds()), _LONGEST_WAIT)
