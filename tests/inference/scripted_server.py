"""A model server that does what a test tells it, faults included: real HTTP, real sockets, scripted answers."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 20


class Exchange:
    """One request, and the server's side of answering it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self._handler = handler
        self.body = body
        self.authorization = handler.headers.get("Authorization", "")
        self.client_left = threading.Event()
        self.left_at = 0.0

    def refuse(self, status: int, body: str = "{}") -> None:
        """An answer that is no stream."""
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", "application/json")
        self._handler.send_header("Content-Length", str(len(body.encode())))
        self._handler.end_headers()
        self._handler.wfile.write(body.encode())

    def begin(self) -> None:
        """The head of a stream."""
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()

    def frame(self, data: str) -> None:
        """One event."""
        event = f"data: {data}\n\n".encode()
        self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def say(self, *pieces: str) -> None:
        """Pieces of a reply."""
        for piece in pieces:
            self.frame(json.dumps({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}))

    def finish(self, reason: str = "stop", usage: dict[str, Any] | None = None) -> None:
        """The end of a reply, as vLLM writes it: the reason, then the counts, then the end of the stream."""
        self.frame(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
        if usage:
            self.frame(json.dumps({"choices": [], "usage": usage}))
        self.frame("[DONE]")
        self.end()

    def end(self) -> None:
        """The end of the stream, whatever was said in it."""
        self._handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection without a word."""
        self._handler.close_connection = True

    def hang(self, limit_s: float = WAIT_S) -> bool:
        """Say nothing until the client leaves; False where it stayed."""
        ready, _, _ = select.select([self._handler.connection], [], [], limit_s)
        if not ready or self._handler.connection.recv(1, 2):  # MSG_PEEK
            return False
        self.note_departure()
        return True

    def note_departure(self) -> None:
        """The client has closed the connection."""
        self.left_at = time.monotonic()
        self.client_left.set()
        self.cut()


Script = Callable[[Exchange], None]


class ScriptedServer:
    """Answers the n-th request by the n-th script, and further ones by the last."""

    def __init__(self, *scripts: Script, models: Script | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self.models: Script = models or (lambda exchange: exchange.refuse(200, '{"object": "list", "data": []}'))
        self._scripts = list(scripts)
        self._arrived = threading.Condition()
        self._connections: set[socket.socket] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server._connections.add(self.connection)

            def finish(self) -> None:
                server._connections.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                server.models(Exchange(self, {}))

            def do_POST(self) -> None:
                exchange = Exchange(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                try:
                    server._take(exchange)
                except (BrokenPipeError, ConnectionResetError):
                    exchange.note_departure()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self.base_url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def script(self, *scripts: Script) -> None:
        """Begin anew with these scripts."""
        with self._arrived:
            self.exchanges.clear()
            self._scripts = list(scripts)

    def wait_for(self, count: int) -> list[Exchange]:
        """The exchanges so far, once there are `count`."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.exchanges) >= count, WAIT_S), len(self.exchanges)
            return list(self.exchanges)

    def _take(self, exchange: Exchange) -> None:
        with self._arrived:
            script = self._scripts[min(len(self.exchanges), len(self._scripts) - 1)]
            self.exchanges.append(exchange)
            self._arrived.notify_all()
        script(exchange)

    @contextmanager
    def running(self) -> Iterator[ScriptedServer]:
        self._thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            for connection in tuple(self._connections):
                with suppress(OSError):  # closed by now
                    connection.shutdown(socket.SHUT_RDWR)


def reply(*pieces: str, reason: str = "stop", usage: dict[str, Any] | None = None) -> Script:
    """A script that says this and finishes."""

    def script(exchange: Exchange) -> None:
        exchange.begin()
        exchange.say(*pieces)
        exchange.finish(reason, usage)

    return script


def begin_and_hang(*pieces: str) -> Script:
    """A script that says this and then nothing more, until the client leaves."""

    def script(exchange: Exchange) -> None:
        exchange.begin()
        exchange.say(*pieces)
        exchange.hang()

    return script


def refuse(status: int, body: str = "{}") -> Script:
    """A script that refuses."""
    return lambda exchange: exchange.refuse(status, body)


def hang(exchange: Exchange) -> None:
    """A script that never answers."""
    exchange.hang()


def cut(exchange: Exchange) -> None:
    """A script that closes the connection instead of answering."""
    exchange.cut()
