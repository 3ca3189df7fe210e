"""Reads of attachments: what pages show of them, and who may have them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User

from chatbot.conversations.attachments.models import Attachment
from chatbot.conversations.legibility import legible
from chatbot.sites.models import Site

# Who reads conversations, in the admin or in the inbox, sees what customers sent.
_MAY_READ = ("conversations.view_conversation", "conversations.answer_conversation")


def attachment_payload(attachment: Attachment) -> dict[str, Any]:
    """An attachment as the wire carries it."""
    payload: dict[str, Any] = {
        "id": str(attachment.id),
        "kind": attachment.kind,
        "name": legible(attachment.name),
        "type": attachment.media_type,
        "size": attachment.size,
    }
    if attachment.width is not None:
        payload |= {"width": attachment.width, "height": attachment.height}
    return payload


def own_attachment(visitor_id: UUID, attachment_id: UUID) -> Attachment | None:
    """The attachment, sent or not, if its conversation is this visitor's."""
    return Attachment.objects.filter(pk=attachment_id, conversation__visitor_id=visitor_id).first()


def attachment_for_staff(user: User | AnonymousUser, attachment_id: UUID) -> Attachment | None:
    """The attachment, if it was sent and this member of staff may read conversations."""
    if not (user.is_active and user.is_staff):
        return None
    if not any(user.has_perm(permission) for permission in _MAY_READ):
        return None
    return Attachment.objects.filter(pk=attachment_id, message__isnull=False).first()


def attachment_rules(site: Site | None) -> dict[str, Any] | None:
    """What may be attached here, for the page to say so before anything is uploaded; None where nothing may."""
    if not settings.ATTACHMENTS or (site is not None and not site.attachments):
        return None
    return {"max_mib": settings.ATTACHMENT_MAX_MIB, "per_message": settings.ATTACHMENTS_PER_MESSAGE}
