"""Makes the HTTP requests the session logic asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from session_manager.session.actions import Fetch


@dataclass(frozen=True, slots=True)
class Answer:
    """What came; `reason` is set where nothing did."""

    status: int = 0
    retry_after: str = ""
    body: bytes = b""
    reason: str = ""


class RestClient:
    """One client with its kept-alive connections."""

    def __init__(self, address: Callable[[str], str]) -> None:
        self._address = address
        self._client = httpx.AsyncClient(headers={"User-Agent": "tapeline"}, follow_redirects=True)

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
        return Answer(answer.status_code, answer.headers.get("retry-after", ""), answer.content)

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()
