"""`python -m tests.support.dying_batch_processor …`: the batch processor, killed at a named point of its way to the store.

`DIE_AT` is `compress`, `compressed`, or what is put and how far that has come: `object`, `progress`, `gap` or `start` (the first
question to the store), a colon, and

- `asked`: before the store is called;
- `half`: half of the bytes are in a local file without a name, or in a request to S3;
- `written`: the local file is whole and synced, and has no name yet;
- `linked`: it has its name, and the folder is not synced; `sent`: S3 has the request, its answer is not looked at;
- `put`: the store has answered.

`DIE_COUNT` is which time of it, from 1. The kill is SIGKILL of the whole process, by itself: no `finally`, no flush.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.httpsession

from batch_processor import __main__ as batch_processor
from batch_processor import archive
from tapeline.objectstore import ObjectStore, local, open_store
from tapeline.rawfile import compress

_POINT = os.environ["DIE_AT"]
_KINDS = {"instance=": "object", "progress/": "progress", "gaps/": "gap"}
_here = threading.local()
_lock = threading.Lock()
_times = itertools.count(1)
_COUNT = int(os.environ.get("DIE_COUNT", "1"))


def _is_due(point: str) -> bool:
    if point != _POINT:
        return False
    with _lock:
        return next(_times) == _COUNT


def _die() -> None:
    sys.stderr.write(f"died at {_POINT}\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _pass(step: str) -> None:
    if _is_due(f"{getattr(_here, 'kind', '')}:{step}"):
        _die()


class _DyingStore:
    """A store that notes what is asked of it, in the thread that asks."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        kind = next((kind for begin, kind in _KINDS.items() if key.startswith(begin)), "")
        _here.kind = "start" if kind == "progress" and if_absent else kind
        _pass("asked")
        done = self._store.put(key, data, if_absent)
        _pass("put")
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _DyingSystem:
    """`os` as the local store sees it."""

    def fsync(self, handle: int) -> None:
        if _is_due(f"{_here.kind}:half"):
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            _die()
        os.fsync(handle)
        _pass("written")

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)
        _pass("linked")

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def _dying_replace(replace: Callable[..., Path]) -> Callable[..., Path]:
    def replaced(self: Path, target: Path) -> Path:
        done = replace(self, target)
        _pass("linked")
        return done

    return replaced


def _dying_compress(whole: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def compressed(rows: bytes) -> bytes:
        if _is_due("compress"):
            _die()
        data = whole(rows)
        if _is_due("compressed"):
            _die()
        return data

    return compressed


def _dying_send(send: Callable[..., Any]) -> Callable[..., Any]:
    def sent(self: object, request: Any) -> Any:
        if request.method == "PUT" and _is_due(f"{_here.kind}:half"):
            _send_half(request)
            _die()
        answer = send(self, request)
        if request.method == "PUT":
            _pass("sent")
        return answer

    return sent


def _send_half(request: Any) -> None:
    place = urlsplit(request.url)
    body = request.body.read() if hasattr(request.body, "read") else request.body
    words = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    words |= {"Host": place.netloc, "Content-Length": str(len(body))}
    words.pop("Expect", None)
    head = f"PUT {place.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in words.items()) + "\r\n"
    with socket.create_connection((place.hostname or "", place.port or 80)) as connection:
        connection.sendall(head.encode() + body[: len(body) // 2])


def main() -> int:
    """As `python -m batch_processor`, until it dies."""
    session = botocore.httpsession.URLLib3Session
    for place, name, value in (
        (archive, "compress", _dying_compress(compress)),
        (local, "os", _DyingSystem()),
        (Path, "replace", _dying_replace(Path.replace)),
        (session, "send", _dying_send(session.send)),
        (batch_processor, "open_store", lambda url: _DyingStore(open_store(url))),
    ):
        setattr(place, name, value)
    return batch_processor.main()


if __name__ == "__main__":
    sys.exit(main())
