"""Which texts a release was trained on, so that it is not judged on what it has seen.

They are known by key (`inference.normalisation.text_key`), never by their words.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from chatbot.exceptions import InvalidArtifact
from chatbot.inference.normalisation import KEY_BYTES
from chatbot.inference.references import References
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import release_directory

# A generator's release may tell what it was trained on: {"keys": [hexadecimal text_key of each row's text]}.
TRAINED_ON_FILE = "trained_on.json"


def texts_trained_on(release: Release) -> Collection[bytes] | None:
    """The keys of the texts that the release was trained on; None where it does not tell. Raises InvalidArtifact."""
    directory = release_directory(release)
    if release.kind == Kind.CLASSIFIER:
        references = References.load(directory)
        return None if references is None else {key.tobytes() for key in references.keys}
    path = directory / TRAINED_ON_FILE
    if not path.is_file():
        return None
    try:
        keys = {bytes.fromhex(key) for key in json.loads(path.read_text(encoding="utf-8"))["keys"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArtifact(f"it does not tell what the release was trained on ({error})", path=path) from error
    if any(len(key) != KEY_BYTES for key in keys):
        raise InvalidArtifact("a key of another length", path=path)
    return keys
