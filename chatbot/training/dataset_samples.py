"""A few rows of a dataset for people to look at: whether what was taken out is out, and what a model will see."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chatbot.training.dataset_files import ROW_KINDS, DatasetFolder
from chatbot.training.dataset_rows import IntentRow, ReplyRow, TranscriptRow
from chatbot.training.redaction import PLACEHOLDER

# More of a file is not searched for placeholders.
_SEARCHED = 20_000


def sample_rows(folder: DatasetFolder, file: str, count: int) -> list[IntentRow | ReplyRow | TranscriptRow]:
    """At most `count` rows in the file's order: half of them with placeholders, the others from all over the file."""
    redacted = list(islice(_redacted_places(folder, file), count // 2))
    spread = _spread(folder.count(file), count)
    places = [*redacted, *(place for place in spread if place not in redacted)][:count]
    with (folder.directory / file).open("rb") as lines:
        return [ROW_KINDS[file].model_validate_json(line) for place, line in enumerate(lines) if place in places]


def _redacted_places(folder: DatasetFolder, file: str) -> Iterator[int]:
    with (folder.directory / file).open(encoding="utf-8") as lines:
        yield from (place for place, line in enumerate(islice(lines, _SEARCHED)) if PLACEHOLDER.search(line))


def _spread(rows: int, count: int) -> list[int]:
    """The last first: rows of conversations stand behind the catalogue's."""
    chosen = min(rows, count)
    return [rows - 1 - number * rows // chosen for number in range(chosen)]
