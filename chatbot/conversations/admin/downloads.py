"""Files that are sent while they are being written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse


class Download(StreamingHttpResponse):
    """A file made from an iterator that reads the database.

    Under ASGI Django would collect a synchronous iterator whole before it sends anything; this takes one piece at a
    time, in the thread that holds the request's database connection.
    """

    def __init__(self, pieces: Iterator[str], *, filename: str, content_type: str) -> None:
        super().__init__(pieces, content_type=content_type)
        self["Content-Disposition"] = f'attachment; filename="{filename}"'
        self["Cache-Control"] = "no-store"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self)

        def next_piece() -> bytes | None:
            return next(pieces, None)

        while (piece := await sync_to_async(next_piece)()) is not None:
            yield piece
