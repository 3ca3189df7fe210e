"""A model hub of one's own: as much of the Hugging Face Hub's protocol as a download of a public model needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "a" * 40


class Hub(ThreadingHTTPServer):
    """`models` are files by name, by `owner/model`; `asked` are the paths that were asked for."""

    daemon_threads = True

    def __init__(self, models: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.models = models
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _answer(self) -> None:
        self.server.asked.append(self.path)
        parts = self.path.split("?")[0].removeprefix("/api/models").strip("/").split("/")
        files = self.server.models.get("/".join(parts[:2]))
        if files is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif parts[2:3] == ["resolve"]:
            contents = files["/".join(parts[4:])]
            etag = hashlib.sha1(contents).hexdigest()
            self._send(200, contents, {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION})
        elif parts[2:3] == ["tree"]:
            tree = [
                {"type": "file", "path": name, "size": len(contents), "oid": hashlib.sha1(contents).hexdigest()}
                for name, contents in files.items()
            ]
            self._send(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        else:
            about = {"id": "/".join(parts[:2]), "sha": REVISION, "siblings": [{"rfilename": name} for name in files]}
            self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, contents: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(contents)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(contents)


@contextmanager
def serving(models: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    with Hub(models) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


def files_of(folder: Path) -> dict[str, bytes]:
    """A model folder as a hub keeps it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
