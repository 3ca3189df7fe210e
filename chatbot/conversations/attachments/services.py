"""Uploading, sending and removing files, and sweeping what nobody sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from chatbot.conversations.attachments import files
from chatbot.conversations.attachments.checks import check_file
from chatbot.conversations.attachments.models import Attachment
from chatbot.conversations.models import Conversation, Message, Visitor
from chatbot.exceptions import AttachmentGone, Conflict, ConversationClosed, FileRefused, NotFound

UNSENT_AGE = timedelta(days=1)
# Far longer than an upload takes from its file to its row.
UNOWNED_AGE_S = 3600.0


def store_upload(*, visitor_id: UUID, conversation_id: UUID, upload: UploadedFile) -> Attachment:
    """Keep a file that the customer is about to send in this conversation.

    Raises:
        NotFound: the conversation is not this visitor's.
        ConversationClosed: it takes no more messages.
        FileRefused: the file is not taken, or there is no more room for this visitor's files.
        Busy: too many pictures are being decoded.
    """
    # Before anything is decoded, and once more where nobody else can take the room.
    _check_room(_open_conversation(visitor_id, conversation_id), visitor_id, upload.size or 0)
    checked = check_file(upload)
    stored = files.keep(checked.data, checked.preview)
    try:
        with transaction.atomic():
            Visitor.objects.select_for_update().filter(pk=visitor_id).first()
            conversation = _open_conversation(visitor_id, conversation_id)
            _check_room(conversation, visitor_id, checked.size)
            return Attachment.objects.create(
                conversation=conversation,
                kind=checked.kind,
                name=checked.name,
                media_type=checked.media_type,
                size=checked.size,
                width=checked.width,
                height=checked.height,
                stored=stored,
            )
    except BaseException:
        files.remove(stored)
        raise


def _open_conversation(visitor_id: UUID, conversation_id: UUID) -> Conversation:
    conversation = Conversation.objects.filter(pk=conversation_id, visitor_id=visitor_id).first()
    if conversation is None:
        raise NotFound("This conversation does not exist.")
    if conversation.status == Conversation.Status.CLOSED:
        raise ConversationClosed("This conversation is closed. Start a new one to go on.")
    return conversation


def _check_room(conversation: Conversation, visitor_id: UUID, size: int) -> None:
    if conversation.attachments.count() >= settings.ATTACHMENTS_PER_CONVERSATION:
        raise FileRefused("conversation_full", "This conversation has as many files as it can hold.")
    held = Attachment.objects.filter(conversation__visitor_id=visitor_id).aggregate(held=Sum("size"))["held"] or 0
    if held + size > settings.ATTACHMENT_QUOTA_MIB * 2**20:
        raise FileRefused("quota", "Your files take all the room that there is for them here.")


def attach(message: Message, attachment_ids: Sequence[UUID]) -> None:
    """Make uploads part of a message of their conversation, in the given order, within the caller's transaction.

    Raises:
        AttachmentGone: one of them is somebody else's, sent already, or not there; or they are too many.
    """
    if not attachment_ids:
        return
    if len(attachment_ids) > settings.ATTACHMENTS_PER_MESSAGE:
        raise AttachmentGone(f"A message can have {settings.ATTACHMENTS_PER_MESSAGE} files at most.")
    unsent = Attachment.objects.select_for_update().filter(
        pk__in=attachment_ids, conversation=message.conversation_id, message=None
    )
    found = unsent.in_bulk()
    if set(found) != set(attachment_ids) or len(found) != len(attachment_ids):
        raise AttachmentGone("A file of this message is no longer here. Remove it and attach it again.")
    for position, attachment_id in enumerate(attachment_ids):
        attachment = found[attachment_id]
        attachment.message, attachment.position = message, position
    Attachment.objects.bulk_update(found.values(), ["message", "position"])


@transaction.atomic
def discard_upload(*, visitor_id: UUID, attachment_id: UUID) -> None:
    """The customer takes back what was not sent yet.

    Raises:
        NotFound: it is not this visitor's.
        Conflict: it was sent.
    """
    own = Attachment.objects.select_for_update().filter(pk=attachment_id, conversation__visitor_id=visitor_id)
    attachment = own.first()
    if attachment is None:
        raise NotFound("This file does not exist.")
    if attachment.message_id is not None:
        raise Conflict("This file was sent already.")
    attachment.delete()


def delete_unsent() -> int:
    """Uploads that were not sent within a day, and files whose rows are gone; how many of both."""
    unsent = Attachment.objects.filter(message=None, created_at__lt=timezone.now() - UNSENT_AGE)
    return unsent.delete()[0] + files.remove_unowned(_owned, older_than_s=UNOWNED_AGE_S)


def _owned(names: set[str]) -> set[str]:
    return set(Attachment.objects.filter(stored__in=names).values_list("stored", flat=True))


def remove_files_of(sender: type[Attachment], instance: Attachment, **_: object) -> None:
    """Signal: whatever deletes a row, a conversation's end or a visitor's erasure, takes its files along on commit."""
    transaction.on_commit(lambda: files.remove(instance.stored))
