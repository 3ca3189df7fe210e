"""What an uploaded file is, by its content: its name and what the browser calls it count for nothing."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from chatbot.conversations.attachments.models import Attachment
from chatbot.exceptions import FileRefused
from chatbot.sites import pictures

# Larger than any screen, small enough to be kept.
LONGEST_SIDE = 4096
# Twice the width that the chat shows it in.
PREVIEW_SIDE = 640
LONGEST_NAME = 120
PDF = "application/pdf"
# Readers look for the end in about so many of the last bytes.
_PDF_TAIL = 2048


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file as it is kept, and what is known of it."""

    kind: Attachment.Kind
    name: str
    media_type: str
    data: bytes
    preview: bytes | None = None
    width: int | None = None
    height: int | None = None

    @property
    def size(self) -> int:
        return len(self.data) + len(self.preview or b"")


def check_file(upload: UploadedFile) -> CheckedFile:
    """Read an upload and make of it what is kept: pictures written anew, PDF files as they are.

    A PDF is only ever handed out as a download, since what it does when it is opened is up to its reader.

    Raises:
        FileRefused: it is too large, damaged, or neither a picture nor a PDF.
        Busy: too much is being decoded at the moment.
    """
    size = upload.size or 0
    if size > settings.ATTACHMENT_MAX_MIB * 2**20:
        raise FileRefused("too_large", too_large(size))
    if size == 0:
        raise FileRefused("empty", "This file is empty. Please choose another.")
    data = upload.read()
    if data.startswith(b"%PDF-"):
        if b"%%EOF" not in data[-_PDF_TAIL:]:
            raise FileRefused("damaged", "This PDF is damaged or not complete. Please send another.")
        return CheckedFile(Attachment.Kind.PDF, shown_name(upload.name, ".pdf"), PDF, data)
    picture = pictures.clean(io.BytesIO(data), longest=LONGEST_SIDE)
    preview = pictures.thumbnail(io.BytesIO(picture.data), longest=PREVIEW_SIDE)
    return CheckedFile(
        Attachment.Kind.IMAGE,
        shown_name(upload.name, picture.extension),
        picture.media_type,
        picture.data,
        preview.data,
        picture.width,
        picture.height,
    )


def too_large(size: int) -> str:
    """How large a file is and may be, for whoever sent it."""
    return f"This file is {max(1, round(size / 2**20))} MB; at most {settings.ATTACHMENT_MAX_MIB} MB."


def shown_name(given: str | None, extension: str) -> str:
    """A customer's name for a file, fit to be shown and saved under: one line, no folder, the content's ending."""
    text = unicodedata.normalize("NFC", given or "")
    # Control and format characters turn a name around: “gpj.exe” must not read as “exe.jpg”.
    visible = "".join(letter for letter in text if unicodedata.category(letter)[0] != "C")
    last = visible.replace("\\", "/").rpartition("/")[2].strip(" .")
    stem = PurePosixPath(last).stem.strip(" .") or "file"
    return stem[: LONGEST_NAME - len(extension)].rstrip() + extension
