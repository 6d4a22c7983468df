"""An HTTP server before a real S3 that can be told to fail: what it passes on, and what it answers, is the real one's."""

from __future__ import annotations

import http.client
import threading
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_BUSY = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'


class Fault(Enum):
    """What becomes of a request."""

    BUSY = "503, and S3 hears nothing of it"
    UNHEARD = "S3 does it, and the connection ends before its answer"
    BROKEN_OFF = "half of the answer's body comes, then the connection ends"


class S3Front:
    """Listens on `endpoint`; `faults` happen to the next requests of their method, one each."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.faults: list[tuple[str, Fault]] = []
        self.requests: list[str] = []
        """The methods of all requests, in order."""
        self._lock = threading.Lock()
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                front.handle(self)

            do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _handle  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answers one request."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = self._next(request.command)
        if fault is Fault.BUSY:
            self._answer(request, 503, [("Content-Type", "application/xml")], _BUSY)
            return
        status, headers, answer = self._ask(request, body)
        if fault is Fault.UNHEARD:
            request.close_connection = True
            return
        if fault is Fault.BROKEN_OFF:
            request.close_connection = True
        self._answer(request, status, headers, answer, half=fault is Fault.BROKEN_OFF)

    def _next(self, method: str) -> Fault | None:
        with self._lock:
            self.requests.append(method)
            place = next((place for place, (wanted, _) in enumerate(self.faults) if wanted == method), None)
            return None if place is None else self.faults.pop(place)[1]

    def _ask(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=30)
        try:
            connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() != "expect":
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in ("connection", "transfer-encoding", "content-length")]  # fmt: skip
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _answer(
        self, request: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], body: bytes, half: bool = False
    ) -> None:  # fmt: skip
        request.send_response_only(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body[: len(body) // 2] if half else body)
