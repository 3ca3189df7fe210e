"""Text files as people have them: UTF-8 or UTF-16, with or without a byte-order mark, with any line ends.

Whatever cannot be read becomes one ImportFailed that names the file and the line.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from chatbot.exceptions import ImportFailed

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
_SCANNED_AT_ONCE = 1 << 16


def text_lines(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The file's lines with their ends, read as they are asked for.

    A byte-order mark says what the encoding is; without one it is `encoding`, or UTF-8. Raises ImportFailed.
    """
    try:
        with _opened(path) as binary:
            codec = _codec(path, binary, encoding)
            stream = io.TextIOWrapper(binary, encoding=codec, newline="")
            try:
                for number, line in enumerate(stream, start=1):
                    yield _checked(path, number, line.removeprefix("\ufeff") if number == 1 else line)
            except UnicodeError as error:
                stream.detach()
                where = f"line {_undecodable_line(binary, codec)}"
                named = codec.removesuffix("-sig").upper()
                raise ImportFailed(
                    f"{path}, {where}: this is not {named}. Save the file as UTF-8, or say which encoding it has."
                ) from error
    except OSError as error:
        raise ImportFailed(f"{path}: {error.strerror or error}.") from error


def has_byte_order_mark(path: Path) -> bool:
    """Whether the file begins with a byte-order mark. Raises ImportFailed."""
    try:
        with _opened(path) as binary:
            return binary.read(4).startswith(tuple(_MARKS))
    except OSError as error:
        raise ImportFailed(f"{path}: {error.strerror or error}.") from error


def refuse_unstorable(path: Path, line: int, text: str) -> None:
    """Raise ImportFailed for what no database and no other file could hold: NUL, and halves of a surrogate pair."""
    if "\0" in text:
        raise ImportFailed(
            f"{path}, line {line}: there is a NUL character; the file is no text, or UTF-16 without a byte-order mark."
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ImportFailed(f"{path}, line {line}: there is half a character (a lone surrogate).") from error


def _checked(path: Path, number: int, line: str) -> str:
    refuse_unstorable(path, number, line)
    return line


def _opened(path: Path) -> BinaryIO:
    # A pipe cannot be read twice, and looking for a mark or for a damaged line does.
    if path.is_fifo() or path.is_char_device():
        return io.BytesIO(path.read_bytes())
    return path.open("rb")


def _codec(path: Path, binary: BinaryIO, encoding: str | None) -> str:
    head = binary.read(4)
    binary.seek(0)
    marked = next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), None)
    if marked or not encoding:
        return marked or "utf-8"
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    except (LookupError, ValueError) as error:
        raise ImportFailed(f"{path}: there is no text encoding {encoding!r}; cp1252 and gb18030 are two.") from error
    return encoding


def _undecodable_line(binary: BinaryIO, codec: str) -> int:
    """The line of the first byte that cannot be decoded."""
    binary.seek(0)
    decoder = codecs.getincrementaldecoder(codec)()
    # It reports every end of a line as one \n, wherever the chunks are cut.
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    line = 1
    while chunk := binary.read(_SCANNED_AT_ONCE):
        before = lines.getstate()
        try:
            line += lines.decode(chunk).count("\n")
        except UnicodeError:
            lines.setstate(before)
            break
    try:
        for byte in chunk:
            line += lines.decode(bytes([byte])).count("\n")
    except UnicodeError:
        # A carriage return waits for the line feed that may follow; here none does.
        line += lines.getstate()[1] & 1
    return line
