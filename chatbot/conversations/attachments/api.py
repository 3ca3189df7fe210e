"""Uploading files over HTTP, and handing them out again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.http import content_disposition_header
from ninja import File, Form, Router, Status, UploadedFile
from ninja.errors import HttpError

from chatbot.conversations import limits
from chatbot.conversations.attachments import files, services
from chatbot.conversations.attachments.models import Attachment
from chatbot.conversations.attachments.selectors import (
    attachment_for_staff,
    attachment_payload,
    attachment_rules,
    own_attachment,
)
from chatbot.conversations.callers import address_of, caller_of, check_origin, visitor_of
from chatbot.exceptions import FileRefused, NotFound, Refused

router = Router()

# Whatever a browser makes of the bytes, they run nothing, load nothing and are no part of our origin.
SANDBOX = "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PREVIEW_AGE_S = 600
_STATUS = {"not_found": 404, "file": 422, "rate_limited": 429, "busy": 503}


def refusal(request: HttpRequest, error: Refused | type[Refused]) -> HttpResponse:
    """A refusal of the services in the words that the socket would use, with the reason for a refused file."""
    assert isinstance(error, Refused)
    body: dict[str, Any] = {"code": error.code, "detail": str(error)}
    if isinstance(error, FileRefused):
        body["reason"] = error.reason
    if error.retry_after is not None:
        body["retry_after"] = round(error.retry_after, 1)
    return JsonResponse(body, status=_STATUS.get(error.code, 409))


@router.post("", response={201: dict[str, Any]})
def upload(request: HttpRequest, conversation: Form[UUID], file: File[UploadedFile]) -> Status[dict[str, Any]]:
    """Keep a file to be sent with a message of the conversation."""
    check_origin(request)
    caller = caller_of(request)
    visitor_id = caller.known_visitor()
    if attachment_rules(caller.site) is None:
        raise FileRefused("off", "Files can't be sent here.")
    async_to_sync(limits.take)(limits.upload_buckets(visitor_id, address_of(request)))
    attachment = services.store_upload(visitor_id=visitor_id, conversation_id=conversation, upload=file)
    return Status(201, attachment_payload(attachment))


@router.delete("/{attachment_id}", response={204: None})
def discard(request: HttpRequest, attachment_id: UUID) -> Status[None]:
    """Take back what was not sent."""
    check_origin(request)
    services.discard_upload(visitor_id=visitor_of(request), attachment_id=attachment_id)
    return Status(204, None)


@router.get("/{attachment_id}")
def download(request: HttpRequest, attachment_id: UUID) -> HttpResponse:
    """The file, only ever as a download."""
    attachment = _readable(request, attachment_id)
    response = _sealed(_bytes(files.read, attachment), attachment.media_type)
    response["Content-Disposition"] = content_disposition_header(True, attachment.name) or "attachment"
    response["Cache-Control"] = "private, no-store"
    return response


@router.get("/{attachment_id}/preview")
def preview(request: HttpRequest, attachment_id: UUID) -> HttpResponse:
    """A small picture of a picture, which a page may show.

    Safe to be shown from our own origin, unlike the file: every byte of it was written by our encoder from decoded
    pixels, its type is fixed, and nosniff keeps browsers from taking it for anything else.
    """
    attachment = _readable(request, attachment_id)
    if attachment.kind != Attachment.Kind.IMAGE:
        raise NotFound("This file has no preview.")
    response = _sealed(_bytes(files.read_preview, attachment), "image/webp")
    response["Cache-Control"] = f"private, max-age={PREVIEW_AGE_S}"
    return response


def _readable(request: HttpRequest, attachment_id: UUID) -> Attachment:
    """What this visitor or member of staff may have. Whether there is such a file is nobody else's business."""
    visitor_id = caller_of(request).visitor
    found = own_attachment(visitor_id, attachment_id) if visitor_id else None
    found = found or attachment_for_staff(request.user, attachment_id)
    if found is None:
        raise NotFound("This file does not exist.")
    return found


def _bytes(read: Any, attachment: Attachment) -> bytes:
    try:
        data: bytes = read(attachment.stored)
    except FileNotFoundError:
        raise HttpError(410, "This file is missing from the storage.") from None
    return data


def _sealed(data: bytes, media_type: str) -> HttpResponse:
    response = HttpResponse(data, content_type=media_type)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = SANDBOX
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
