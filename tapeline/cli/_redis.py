"""Where the commands find Redis."""

from __future__ import annotations

from pathlib import Path

from tapeline.errors import UsageError
from tapeline.redis_server import URL_FILE
from tapeline.settings import Settings


def redis_url(given: str | None) -> str:
    """What was given, else what is set, else the Redis of a running `tapeline up`; raises UsageError."""
    settings = Settings.from_environment()
    told = Path(settings.data_dir, "redis", URL_FILE)
    if given or settings.redis_url:
        return str(given or settings.redis_url)
    if told.exists():
        return told.read_text().strip()
    raise UsageError("no Redis: give --redis URL, set TAPELINE_REDIS_URL, or run `tapeline up` meanwhile")
