"""A long file under construction, that survives being interrupted at any moment.

It grows as `NAME.partial`, beside `NAME.partial.json`, which says what job it belongs to and how many of its bytes and
rows count. Whatever was written after the last such note is cut off when the job is taken up again, so the finished
file is the same whether or not it was interrupted. Only a finished file gets its name.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from chatbot.exceptions import ExportFailed


class Draft:
    """The part that is written so far. Made by `open_draft`."""

    def __init__(self, output: Path, stream: BinaryIO, job: dict[str, Any]) -> None:
        self.path = partial_path(output)
        self.rows = 0
        self.size = 0
        self._output = output
        self._state = state_path(output)
        self._stream = stream
        self._job = job

    @property
    def is_new(self) -> bool:
        """Whether nothing of it is written yet."""
        return self.size == 0

    def append(self, text: str, rows: int) -> None:
        """Add `text`, which holds so many rows; once this returns, no interruption loses it."""
        self.size += self._stream.write(text.encode())
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.rows += rows
        self._note()

    def finish(self, *, overwrite: bool) -> None:
        """Give the file its name. Raises ExportFailed where there is one of this name meanwhile."""
        refuse_existing(self._output, overwrite=overwrite)
        os.replace(self.path, self._output)
        self._state.unlink(missing_ok=True)

    def take_up(self) -> None:
        """Go on where the last note says. Raises ExportFailed where the file is of another job."""
        written = os.fstat(self._stream.fileno()).st_size
        state = self._noted()
        if state is None and written:
            raise ExportFailed(f"{self.path} is in the way, and nothing tells what it is. Begin anew with --restart.")
        # A shorter file than noted is a new one: the note is left of a run that ended just after its file got its name.
        if state and state["bytes"] <= written:
            self._refuse_other(state["job"])
            self.rows, self.size = state["rows"], state["bytes"]
        self._cut()

    def begin_anew(self) -> None:
        """Throw away what there is."""
        self._cut()

    def _cut(self) -> None:
        self._stream.truncate(self.size)
        self._stream.seek(self.size)
        self._note()

    def _refuse_other(self, begun: dict[str, Any]) -> None:
        for name, value in self._job.items():
            if begun.get(name) != value:
                named = f" ({begun.get(name)}, not {value})" if isinstance(value, str) and len(value) < 64 else ""
                raise ExportFailed(
                    f"{self.path} was begun with another {name}{named}. Run that again to go on, or begin anew with "
                    "--restart."
                )

    def _note(self) -> None:
        fresh = self._state.with_name(self._state.name + ".new")
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump({"job": self._job, "rows": self.rows, "bytes": self.size}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, self._state)

    def _noted(self) -> dict[str, Any] | None:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            return {"job": dict(state["job"]), "rows": int(state["rows"]), "bytes": int(state["bytes"])}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ExportFailed(f"{self._state} is damaged. Begin anew with --restart.") from error


@contextmanager
def open_draft(output: Path, job: dict[str, Any], *, restart: bool = False) -> Iterator[Draft]:
    """The draft of `output`, taken up where it was left, and locked against a second process.

    `job` holds, under names that can be told to a person, whatever decides what is written. Raises ExportFailed where
    the draft is of another job (unless told to restart), in use, or not to be written.
    """
    partial = partial_path(output)
    try:
        with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as stream:
            _lock(partial, stream)
            draft = Draft(output, stream, job)
            if restart:
                draft.begin_anew()
            else:
                draft.take_up()
            yield draft
    except OSError as error:
        raise ExportFailed(f"{error.filename or partial}: {error.strerror or error}.") from error


def partial_path(output: Path) -> Path:
    """Where a file grows until it is finished."""
    return output.with_name(output.name + ".partial")


def state_path(output: Path) -> Path:
    """Where it is noted how far a file has grown."""
    return output.with_name(output.name + ".partial.json")


def refuse_existing(output: Path, *, overwrite: bool) -> None:
    """Raise ExportFailed where there is a finished file of this name, or no folder to write it in."""
    if output.is_dir():
        raise ExportFailed(f"{output} is a directory.")
    if not output.parent.is_dir():
        raise ExportFailed(f"{output}: there is no directory {output.parent}.")
    if output.exists() and not overwrite:
        raise ExportFailed(f"{output} is there already. Write over it with --overwrite.")


def _lock(partial: Path, stream: BinaryIO) -> None:
    in_use = ExportFailed(f"{partial} is being written by another process.")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise in_use from error
    # Between opening and locking, that process may have finished and given the file its name.
    if not partial.exists() or not os.path.samestat(partial.stat(), os.fstat(stream.fileno())):
        raise in_use
