"""What customers do to conversations. Each write is one transaction, and is told on commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import EmailField
from django.utils import timezone

from chatbot.conversations import events, wording
from chatbot.conversations.attachments.services import attach
from chatbot.conversations.delivery import announce_queued, cancel_open_turn, queue_turn, silence_bot
from chatbot.conversations.desk.announcements import announce_change
from chatbot.conversations.lifecycle import By, Move, move
from chatbot.conversations.models import Conversation, Message, Turn, Visitor
from chatbot.conversations.selectors import message_payload, owed_turns
from chatbot.conversations.sessions import may_train_on
from chatbot.conversations.standing import customer_language, handed_over, updated
from chatbot.conversations.threads import append_message, lock_conversation, say
from chatbot.conversations.translations import translated
from chatbot.conversations.triage import triage_again
from chatbot.conversations.waiting import line_now, reply_seconds
from chatbot.exceptions import Busy, Conflict, ConversationClosed, InvalidAddress, NotFound
from chatbot.inference.language import detect_language
from chatbot.sites.models import Site

TITLE_LENGTH = 80
# Sooner than this hardly anybody has been answered.
SHORTEST_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A stored customer message and the turn that owes it an answer (None where a person has the conversation)."""

    message: Message
    turn: Turn | None


# --- Visitors and conversations -----------------------------------------------------------------


def ensure_visitor(*, visitor_id: UUID, site: Site | None = None) -> Visitor:
    """The visitor of a signed cookie, or of a site's token, stored on their first use of the chat."""
    visitor, created = Visitor.objects.get_or_create(pk=visitor_id, defaults={"site": site})
    if not created:
        Visitor.objects.filter(pk=visitor_id).update(last_seen_at=timezone.now())
    return visitor


def open_conversation(*, visitor_id: UUID, conversation_id: UUID | None, site: Site | None = None) -> Conversation:
    """The named conversation, or the visitor's latest that is not closed, or a new one.

    Raises:
        NotFound: the named conversation does not exist or is somebody else's.
    """
    if conversation_id is not None:
        named = Conversation.objects.filter(pk=conversation_id, visitor_id=visitor_id).first()
        if named is None:
            raise NotFound("This conversation does not exist.")
        return named
    with transaction.atomic():
        visitor = ensure_visitor(visitor_id=visitor_id, site=site)
        latest = (
            Conversation.objects.filter(visitor_id=visitor_id)
            .exclude(status=Conversation.Status.CLOSED)
            .order_by("-updated_at")
            .first()
        )
        return latest or _begin(visitor)


def start_conversation(*, visitor_id: UUID, site: Site | None = None) -> Conversation:
    """A conversation without messages: the visitor's unused one if there is one."""
    with transaction.atomic():
        visitor = ensure_visitor(visitor_id=visitor_id, site=site)
        unused = Conversation.objects.filter(visitor_id=visitor_id, last_seq=0, status=Conversation.Status.BOT).first()
        return unused or _begin(visitor)


def _begin(visitor: Visitor) -> Conversation:
    return Conversation.objects.create(visitor=visitor, training_consent=may_train_on(visitor))


# --- The customer writes ------------------------------------------------------------------------


@transaction.atomic
def send_message(
    *,
    visitor_id: UUID,
    conversation_id: UUID,
    client_id: str,
    text: str,
    attachments: Sequence[UUID] = (),
    sender_channel: str = "",
) -> Accepted:
    """Store a customer's message and the turn that owes it an answer.

    Sending the same `client_id` again returns what the first send stored.

    Raises:
        NotFound: the conversation is not this visitor's.
        ConversationClosed: it takes no more messages.
        Busy: too many answers are owed already; worth another try with the same `client_id`.
        AttachmentGone: one of the files can't be sent with it.
    """
    conversation = lock_conversation(conversation_id, visitor_id)
    first = Message.objects.filter(conversation=conversation, client_id=client_id).first()
    if first is not None:
        return Accepted(first, owed_turns().filter(message=first).order_by("-number").first())
    if conversation.status == Conversation.Status.CLOSED:
        raise ConversationClosed("This conversation is closed. Start a new one to go on.")
    owes_answer = conversation.status == Conversation.Status.BOT
    if owes_answer:
        _check_room(conversation)
    message = append_message(conversation, role=Message.Role.CUSTOMER, text=text, client_id=client_id)
    attach(message, attachments)
    if text and not conversation.title:
        conversation.title = title_of(text)
        conversation.save(update_fields=["title"])
    turn = queue_turn(conversation, message) if owes_answer else None
    events.publish(
        conversation.id,
        events.MessageAccepted(client_id, message_payload(message, turn), str(turn.id) if turn else None),
        except_channel=sender_channel,
    )
    if not owes_answer:
        announce_change(conversation.id)
    return Accepted(message, turn)


def _check_room(conversation: Conversation) -> None:
    open_turns = conversation.turns.filter(status__in=Turn.OPEN).count()
    if open_turns >= settings.MAX_OPEN_TURNS_PER_CONVERSATION:
        raise Busy("Let me answer your earlier messages first.", retry_after=reply_seconds(timezone.now()))
    line = line_now(timezone.now())
    if line.ahead >= settings.MAX_QUEUED_TURNS or line.seconds > settings.MAX_WAIT_SECONDS:
        wait = max(line.seconds - settings.MAX_WAIT_SECONDS, SHORTEST_RETRY_S)
        told = f"Very many people are asking right now: {line.ahead} are ahead of you."
        raise Busy(f"{told} Please try again in about {wait:.0f} seconds.", wait)


def title_of(text: str) -> str:
    """What a conversation is called that begins with this message."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


@transaction.atomic
def retry_turn(*, visitor_id: UUID, turn_id: UUID) -> Turn:
    """Ask again for an answer to the same message; a new turn owes it.

    Raises:
        NotFound: the turn is not this visitor's.
        Conflict: it is not the conversation's latest turn, it has not ended, or the bot does not have the conversation.
        Busy: too many answers are owed already.
    """
    turn = _own_turn(turn_id, visitor_id)
    conversation = lock_conversation(turn.conversation_id)
    turn.refresh_from_db()
    if conversation.turns.filter(number__gt=turn.number).exists() or not turn.is_terminal:
        raise Conflict("This can't be tried again: it is still being answered, or something newer has been asked.")
    if conversation.status != Conversation.Status.BOT:
        raise Conflict("The assistant does not have this conversation right now.")
    _check_room(conversation)
    again = queue_turn(conversation, turn.message, is_retry=True)
    announce_queued(again)
    return again


def _own_turn(turn_id: UUID, visitor_id: UUID) -> Turn:
    turn = Turn.objects.select_related("message").filter(pk=turn_id, conversation__visitor_id=visitor_id).first()
    if turn is None:
        raise NotFound("This reply does not exist.")
    return turn


@transaction.atomic
def cancel_turn(*, visitor_id: UUID, turn_id: UUID) -> None:
    """Stop a reply: at once where it has not begun, else its worker is told and stores what it has written.

    Raises:
        NotFound: the turn is not this visitor's.
        Conflict: it has already ended.
    """
    turn = _own_turn(turn_id, visitor_id)
    lock_conversation(turn.conversation_id)
    turn.refresh_from_db()
    if turn.is_terminal:
        raise Conflict("This reply has already ended.")
    cancel_open_turn(turn)


@transaction.atomic
def rate_message(*, visitor_id: UUID, message_id: UUID, rating: str | None, reason: str = "") -> Message:
    """Give, change or (None) take back the rating of a bot's or agent's message.

    Raises:
        NotFound: no such message of this visitor's that can be rated.
    """
    message = (
        Message.objects.select_for_update(of=("self",))
        .filter(
            pk=message_id,
            conversation__visitor_id=visitor_id,
            role__in=(Message.Role.BOT, Message.Role.AGENT),
        )
        .first()
    )
    if message is None:
        raise NotFound("This message can't be rated.")
    message.rating = rating or ""
    message.rating_reason = reason if rating else ""
    message.save(update_fields=["rating", "rating_reason"])
    triage_again(Turn.objects.filter(reply=message))
    events.publish(message.conversation_id, events.MessageRated(str(message.id), rating))
    return message


# --- Bot, waiting, person -----------------------------------------------------------------------


@transaction.atomic
def request_handoff(*, visitor_id: UUID, conversation_id: UUID) -> None:
    """The customer wants a person: the bot falls silent and the conversation waits in the queue.

    Raises:
        NotFound: the conversation is not this visitor's.
        Conflict: the bot does not have it.
    """
    conversation = lock_conversation(conversation_id, visitor_id)
    move(conversation, Move.ASK, by=By.CUSTOMER, reason="the customer asked for a person")
    silence_bot(conversation)
    say(conversation, handed_over(conversation))


@transaction.atomic
def return_to_bot(*, visitor_id: UUID, conversation_id: UUID) -> None:
    """The customer would rather not wait, and goes back to the bot.

    Raises:
        NotFound: the conversation is not this visitor's.
        Conflict: it is not waiting for a person.
    """
    conversation = lock_conversation(conversation_id, visitor_id)
    move(conversation, Move.RETURN, by=By.CUSTOMER, reason="the customer did not want to wait")
    say(conversation, translated(wording.BACK_TO_BOT, customer_language(conversation)))


@transaction.atomic
def end_conversation(*, visitor_id: UUID, conversation_id: UUID) -> None:
    """The customer is done: nothing more is answered, and they can say what they make of it.

    Raises:
        NotFound: the conversation is not this visitor's.
        ConversationClosed: it has ended already.
        Conflict: nothing has been said in it.
    """
    conversation = lock_conversation(conversation_id, visitor_id)
    if conversation.last_seq == 0:
        raise Conflict("Nothing has been said in this conversation yet.")
    move(conversation, Move.CLOSE, by=By.CUSTOMER, reason="ended by the customer")
    silence_bot(conversation)


@transaction.atomic
def leave_email(*, visitor_id: UUID, conversation_id: UUID, email: str) -> None:
    """Keep where the customer wants to be answered, or (empty) forget it.

    Raises:
        NotFound: the conversation is not this visitor's.
        InvalidAddress: it is no address.
        Conflict: nobody has been asked to answer.
    """
    conversation = lock_conversation(conversation_id, visitor_id)
    if conversation.status != Conversation.Status.WAITING:
        raise Conflict("This conversation is not waiting for a person.")
    try:
        EmailField(blank=True).run_validators(email)
    except ValidationError:
        raise InvalidAddress("This is not an e-mail address such as name@example.com.") from None
    conversation.contact_email = email
    conversation.save(update_fields=["contact_email"])
    events.publish(conversation.id, updated(conversation))
    announce_change(conversation.id)


def note_language(*, message: Message) -> None:
    """Keep the language of the customer's latest message: what it seems to be with the conversation, what is certain
    (`message.language`) with the message.
    """
    if not message.text:
        return
    if message.language:
        Message.objects.filter(pk=message.pk).exclude(language=message.language).update(language=message.language)
    language = detect_language(message.text)
    if language != message.conversation.language:
        Conversation.objects.filter(pk=message.conversation_id).update(language=language)


def delete_unused_conversations(*, older_than: timedelta) -> int:
    """Conversations that were opened but never written in."""
    unused = Conversation.objects.filter(last_seq=0, created_at__lt=timezone.now() - older_than)
    return unused.delete()[0]
