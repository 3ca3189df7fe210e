"""Pictures from strangers, made into pictures of our own.

A picture is decoded within bounds and written anew, so that nothing but its pixels is left: no EXIF with the place
where it was taken, no comment, no profile, no other file behind its end. What cannot be decoded is refused.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from chatbot.exceptions import Busy, FileRefused

# Only these decoders ever see a stranger's bytes. SVG is a program rather than a picture.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
# 50 megapixels are 200 MB while they are decoded. A bomb says its size in the first bytes, before anything is.
MOST_PIXELS = 50_000_000
MOST_FRAMES = 300
QUALITY = 88
# One at a time, so that a dozen large ones at once do not take the memory of the process; seconds.
PATIENCE_S = 20.0
_one_at_a_time = threading.BoundedSemaphore(1)


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture that this module wrote. `extension` begins with its dot."""

    data: bytes
    media_type: str
    extension: str
    width: int
    height: int


def clean(source: BinaryIO, *, longest: int) -> Picture:
    """The same picture, upright and at most `longest` pixels on its longer side, in the format that it came in.

    Raises:
        FileRefused: it is no picture of `FORMATS`, is damaged, or is too large to be decoded.
        Busy: others are being decoded; worth another try.
    """
    return _within_bounds(source, lambda image: _rewritten(image, longest))


def thumbnail(source: BinaryIO, *, longest: int) -> Picture:
    """A WebP still of it, at most `longest` pixels on its longer side. Raises as `clean` does."""
    return _within_bounds(source, lambda image: _still(image, longest, "WEBP"))


def _within_bounds(source: BinaryIO, work: Callable[[Image.Image], Picture]) -> Picture:
    if not _one_at_a_time.acquire(timeout=PATIENCE_S):
        raise Busy("Many pictures are being looked at right now. Please try again in a moment.", PATIENCE_S)
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise FileRefused("too_many_pixels", _too_many_pixels())
            return work(image)
    except (FileRefused, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise FileRefused("too_many_pixels", _too_many_pixels()) from None
    except UnidentifiedImageError:
        raise FileRefused("unsupported", "Please send a JPEG, PNG, WebP or GIF picture, or a PDF.") from None
    except Exception as error:  # decoders raise anything at all over what a stranger has written
        raise FileRefused("damaged", "This picture is damaged and can't be read. Please send another.") from error
    finally:
        _one_at_a_time.release()


def _too_many_pixels() -> str:
    return f"This picture is too large: at most {MOST_PIXELS // 1_000_000} megapixels. Please send a smaller one."


def _rewritten(image: Image.Image, longest: int) -> Picture:
    # A phone's JPEG may hold a second picture behind the first (MPO); the first is the one that is meant.
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    if kind in ("GIF", "WEBP") and getattr(image, "is_animated", False):
        return _animated(image, kind)
    return _still(image, longest, kind)


def _still(image: Image.Image, longest: int, kind: str) -> Picture:
    # Decodes a large JPEG at a half or a quarter of its size at once; without effect on the others.
    image.draft(None, (longest, longest))
    upright = ImageOps.exif_transpose(image)
    has_alpha = upright.has_transparency_data and kind != "JPEG"
    plain = upright.convert("RGBA" if has_alpha else "RGB")
    plain.thumbnail((longest, longest))
    return _encoded([plain], kind)


def _animated(image: Image.Image, kind: str) -> Picture:
    frames, durations = [], []
    for number in range(MOST_FRAMES + 1):
        try:
            image.seek(number)
        except EOFError:
            break
        if number == MOST_FRAMES or (number + 1) * image.width * image.height > MOST_PIXELS:
            raise FileRefused("too_many_pixels", "This animation is too long. Please send a shorter one.")
        frames.append(image.convert("RGBA"))
        durations.append(int(image.info.get("duration", 100)))
    return _encoded(frames, kind, duration=durations)


def _encoded(frames: list[Image.Image], kind: str, duration: list[int] | None = None) -> Picture:
    for frame in frames:
        # Pillow writes comments and profiles that it finds here into what it saves.
        frame.info = {}
    options: dict[str, object] = {} if kind in ("PNG", "GIF") else {"quality": QUALITY}
    if duration is not None:
        options |= {"save_all": True, "append_images": frames[1:], "duration": duration, "loop": 0}
        if kind == "GIF":
            options["disposal"] = 2
    out = io.BytesIO()
    frames[0].save(out, kind, **options)
    extension = ".jpg" if kind == "JPEG" else f".{kind.lower()}"
    return Picture(out.getvalue(), Image.MIME[kind], extension, frames[0].width, frames[0].height)
