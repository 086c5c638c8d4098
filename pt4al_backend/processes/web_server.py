"""The web process: tornado receives requests and sends responses, and threads run the Flask app in between.

A slow client holds a connection but no thread, and only for a bounded time. A request that its headers rule out is
rejected before its body is read (`web/header_checks.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from flask import Flask, Request
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerRequest,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import StreamClosedError
from tornado.wsgi import WSGIContainer
from werkzeug.wrappers import Response

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.child import LIFELINE, watch_parent
from pt4al_backend.processes.supervisor import announcement
from pt4al_backend.settings import Settings
from pt4al_backend.web import header_checks, security
from pt4al_backend.web.app import create_app

THREADS = 32  # twice as many as may wait in /predict
HEADER_SECONDS = 10.0  # for a request's headers, and for an idle connection
BODY_SECONDS = 20.0
SEND_SECONDS = 30.0
LINGER_SECONDS = (
    2.0  # for reading a rejected body: if the connection closed at once, the client might miss the response
)
STOP_SECONDS = 5.0
CONNECTIONS = 1000
_OTHER_FILES = 200
_PIECE = 64 * 2**10  # bytes

logger = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end the process.

    Raises:
        PT4ALError: The address cannot be used.
    """
    app = create_app(_load_model, settings)
    listener = _listen(settings.host, settings.port)
    logging.getLogger("tornado").setLevel(logging.ERROR)  # warnings would repeat the contents of malformed requests
    if LIFELINE not in os.environ:  # otherwise the supervisor has logged it
        logger.info(announcement(settings))
    watch_parent()
    asyncio.run(_serve(app, settings, listener))
    logging.shutdown()
    os._exit(0)  # a plain exit would wait for the thread of a /predict that is waiting


def _load_model() -> type:
    """Load the model class. Importing it imports label-studio-ml."""
    from pt4al_backend.model import PT4ALBackend

    return PT4ALBackend


async def _serve(app: Flask, settings: Settings, listener: socket.socket) -> None:
    loop, asked_to_end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_end.set)
    server = Server(app, settings)
    server.add_sockets([listener])
    await asked_to_end.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)  # a second signal ends the process at once
    server.stop()
    if server.answering:
        await asyncio.wait(server.answering, timeout=STOP_SECONDS)


class Server(HTTPServer):
    """Limits the number of connections: a new one replaces the one that has been sending its request for longest."""

    def initialize(self, app: Flask, settings: Settings) -> None:  # type: ignore[override]  # tornado's __init__
        super().initialize(
            self,
            chunk_size=_PIECE,
            max_header_size=_PIECE,
            max_buffer_size=4 * _PIECE,
            idle_connection_timeout=HEADER_SECONDS,
            body_timeout=BODY_SECONDS,
        )
        self.app, self.settings = app, settings
        self.container = WSGIContainer(app)
        self.threads = ThreadPoolExecutor(THREADS, "request")
        self.answering: set[asyncio.Task[None]] = set()
        self._most = min(CONNECTIONS, _open_files(CONNECTIONS + _OTHER_FILES) - _OTHER_FILES)
        self._open: dict[object, HTTP1Connection | None] = {}  # None once the request is complete

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        """Called at the start of every connection and after each of its requests."""
        self._open.pop(server_conn, None)
        if len(self._open) >= self._most:
            slowest = next((connection for connection in self._open.values() if connection is not None), request_conn)
            slowest.close()
        self._open[server_conn] = request_conn
        return _Exchange(self, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Called at the end of every connection."""
        super().on_close(server_conn)
        self._open.pop(server_conn, None)

    def request_complete(self, server_conn: object) -> None:
        """Called when the connection's request is complete."""
        self._open[server_conn] = None


class _Exchange(HTTPMessageDelegate):
    """One request, from its headers to its response."""

    def __init__(self, server: Server, server_conn: object, connection: HTTP1Connection) -> None:
        self._server, self._server_conn, self._connection = server, server_conn, connection
        self._body = BytesIO()
        self._refused = self._holds_large_body = False

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        """Reject the request, or let its body come."""
        received = HTTPServerRequest(connection=self._connection, start_line=start_line, headers=headers.copy())
        try:
            self._environ = self._server.container.environ(received)
        except ValueError:  # the port is not a number
            raise HTTPInputError("wrong Host header") from None
        request = Request(self._environ)
        refusal = header_checks.refused(request, self._server.settings)
        if refusal is None and header_checks.is_large(request):
            self._holds_large_body = header_checks.LARGE_BODIES.acquire(blocking=False)
            refusal = None if self._holds_large_body else header_checks.busy()
        if refusal is None:
            self._environ[header_checks.ADMITTED] = True
            self._connection.set_max_body_size(request.content_length or 0)
            return
        self._refused = True
        self._connection.set_max_body_size(sys.maxsize)
        self._connection.set_body_timeout(LINGER_SECONDS)
        self._send_head(security.add_headers(refusal), self._content(refusal))
        if "Expect" in headers:  # the client waits for a response before it sends its body
            self._connection.finish()

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, unless the request is rejected."""
        if not self._refused:
            self._body.write(chunk)

    def finish(self) -> None:
        """Called when the body is complete."""
        if self._refused:
            self._connection.finish()
            return
        self._server.request_complete(self._server_conn)
        self._body.seek(0)
        # The body is complete, so Flask need not copy it to limit its length.
        self._environ |= {"wsgi.input": self._body, "wsgi.input_terminated": True}
        task = asyncio.create_task(self._answer())
        self._server.answering.add(task)
        task.add_done_callback(self._server.answering.discard)

    def on_connection_close(self) -> None:
        """Called when the client left or took too long before the body was complete."""
        self._release_large_body()

    async def _answer(self) -> None:
        app, loop = self._server.app, asyncio.get_running_loop()
        try:
            # Label Studio waits for these for a second only, so they do not queue for a thread.
            if self._environ["PATH_INFO"] in security.OPEN_PATHS:
                response = Response.from_app(app, self._environ, True)
            else:
                response = await loop.run_in_executor(self._server.threads, Response.from_app, app, self._environ, True)
            await asyncio.wait_for(self._send(response), SEND_SECONDS)
        except (StreamClosedError, asyncio.TimeoutError):
            self._connection.close()
        except Exception:
            logger.exception("A request could not be answered.")
            self._connection.close()
        finally:
            self._release_large_body()

    async def _send(self, response: Response) -> None:
        """Send the content piece by piece, so that no more is buffered than the client takes."""
        content = self._content(response)
        await self._send_head(response, content[:_PIECE])
        for start in range(_PIECE, len(content), _PIECE):
            await self._connection.write(content[start : start + _PIECE])
        self._connection.finish()

    def _send_head(self, response: Response, content: bytes) -> Awaitable[None]:
        """Send status, headers and the start of the content, with our own reason phrase (fact 18)."""
        code, _, reason = response.status.partition(" ")
        headers = HTTPHeaders({"Date": format_timestamp(time.time())})
        for name, value in response.headers:
            headers.add(name, value)
        return self._connection.write_headers(ResponseStartLine("HTTP/1.1", int(code), reason), headers, content)

    def _content(self, response: Response) -> bytes:
        return b"" if self._environ["REQUEST_METHOD"] == "HEAD" else response.get_data()

    def _release_large_body(self) -> None:
        if self._holds_large_body:
            self._holds_large_body = False
            header_checks.LARGE_BODIES.release()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024, dualstack_ipv6=both)
    except OSError as error:
        raise PT4ALError(
            f"The web server cannot listen on {host} port {port} ({error.strerror or error}): "
            "choose another address or port with PT4AL_HOST or PT4AL_PORT."
        ) from error
    listener.setblocking(False)
    return listener


def _open_files(wanted: int) -> int:
    """How many files this process may open, after raising the limit to `wanted` if the system allows that."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    if now != resource.RLIM_INFINITY and now < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return max(now, allowed)
