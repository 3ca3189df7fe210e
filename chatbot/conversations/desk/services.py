"""What the people at the desk do. Each write is one transaction, and is told on commit.

Commands about a conversation carry the `assignment` that their page shows. If hands have changed since, nothing is
done, and the page is told in whose hands it is: two people never answer one customer unknowingly.
"""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from chatbot.conversations import events, wording
from chatbot.conversations.delivery import silence_bot
from chatbot.conversations.desk import suggestions
from chatbot.conversations.desk.announcements import announce_change, announce_to_staff
from chatbot.conversations.desk.selectors import called, may_answer, note_payload
from chatbot.conversations.lifecycle import By, Move, move
from chatbot.conversations.models import Conversation, Message, Note
from chatbot.conversations.selectors import message_payload
from chatbot.conversations.standing import customer_language, named
from chatbot.conversations.threads import append_message, lock_conversation, say
from chatbot.conversations.translations import translated
from chatbot.exceptions import Conflict, ConversationClosed, HandsChanged

Status = Conversation.Status


# --- Who has it ---------------------------------------------------------------------------------


@transaction.atomic
def take_conversation(
    *, conversation_id: UUID, agent: AbstractBaseUser, assignment: int, take_over: bool = False
) -> None:
    """The conversation is the agent's from now on; a colleague's only where that is said with `take_over`.

    Raises:
        NotFound: there is no such conversation.
        ConversationClosed: nobody can have it any more.
        HandsChanged: a colleague has it, or somebody was quicker.
    """
    conversation = _lock(conversation_id, assignment)
    holder = _holder(conversation)
    if holder is not None and holder.pk == agent.pk:
        return
    if holder is not None and not take_over:
        raise HandsChanged(f"{called(holder)} has this conversation. Take it over if you want to answer.")
    _hand_to(conversation, agent, actor=agent, reason=f"taken over from {called(holder)}" if holder else "")


@transaction.atomic
def assign_conversation(
    *, conversation_id: UUID, agent: AbstractBaseUser, to: AbstractBaseUser, assignment: int
) -> None:
    """Give the conversation to a colleague.

    Raises:
        NotFound: there is no such conversation.
        ConversationClosed: nobody can have it any more.
        HandsChanged: hands have changed since.
        Conflict: the colleague may not answer customers.
    """
    conversation = _lock(conversation_id, assignment)
    if not may_answer(to):
        raise Conflict(f"{called(to)} may not answer customers.")
    if conversation.assignee_id != to.pk:
        _hand_to(conversation, to, actor=agent, reason=f"given by {called(agent)}")


@transaction.atomic
def release_conversation(*, conversation_id: UUID, agent: AbstractBaseUser, assignment: int) -> None:
    """Put the conversation back in the queue, where it was before.

    Raises:
        NotFound: there is no such conversation.
        HandsChanged: hands have changed since.
        Conflict: nobody has it.
    """
    conversation = _lock(conversation_id, assignment)
    move(conversation, Move.RELEASE, by=By.STAFF, actor=agent, reason="put back in the queue")
    say(conversation, translated(wording.BACK_IN_QUEUE, customer_language(conversation)))


@transaction.atomic
def return_to_bot(*, conversation_id: UUID, agent: AbstractBaseUser, assignment: int | None = None) -> None:
    """The assistant answers again.

    Raises:
        NotFound: there is no such conversation.
        HandsChanged: hands have changed since.
        Conflict: the assistant has it already.
    """
    conversation = _lock(conversation_id, assignment)
    move(conversation, Move.RETURN, by=By.STAFF, actor=agent, reason="returned by a member of staff")
    say(conversation, translated(wording.BACK_TO_BOT, customer_language(conversation)))


@transaction.atomic
def close_conversation(*, conversation_id: UUID, agent: AbstractBaseUser, assignment: int | None = None) -> None:
    """End a conversation; the customer can read it and start another.

    Raises:
        NotFound: there is no such conversation.
        ConversationClosed: it is closed already.
        HandsChanged: hands have changed since.
    """
    conversation = _lock(conversation_id, assignment)
    move(conversation, Move.CLOSE, by=By.STAFF, actor=agent, reason="closed by a member of staff")
    silence_bot(conversation)


def _lock(conversation_id: UUID, assignment: int | None) -> Conversation:
    """The locked conversation, if it is still as the page shows it; `assignment` None takes it as it is."""
    conversation = lock_conversation(conversation_id)
    if assignment is not None and conversation.assignment != assignment:
        raise HandsChanged(_changed(conversation))
    return conversation


def _holder(conversation: Conversation) -> AbstractBaseUser | None:
    return conversation.assignee if conversation.status == Status.HUMAN else None


def _changed(conversation: Conversation) -> str:
    holder = _holder(conversation)
    if holder is not None:
        return f"{called(holder)} has this conversation now."
    now = {Status.BOT: "is with the assistant", Status.WAITING: "is in the queue", Status.CLOSED: "is closed"}
    return f"This conversation {now.get(Status(conversation.status), 'has changed hands')} now."


def _hand_to(conversation: Conversation, to: AbstractBaseUser, *, actor: AbstractBaseUser, reason: str) -> None:
    move(conversation, Move.TAKE, by=By.STAFF, actor=actor, assignee=to, reason=reason)
    silence_bot(conversation)
    language = customer_language(conversation)
    name = {"name": translated(wording.SOMEBODY, language)} | named(to, "name")
    say(conversation, translated(wording.JOINED, language).format(**name))


# --- Writing ------------------------------------------------------------------------------------


@transaction.atomic
def post_agent_message(
    *,
    conversation_id: UUID,
    author: AbstractBaseUser,
    text: str,
    assignment: int | None = None,
    client_id: str = "",
    suggestion_id: UUID | None = None,
) -> Message:
    """A person answers; a conversation that nobody has is theirs from then on.

    Sending the same `client_id` again returns what the first send stored. With `suggestion_id` the text is the bot's
    draft, as it was or edited, and sending it reviews that draft.

    Raises:
        NotFound: no such conversation, or no such draft in it.
        ConversationClosed: it takes no more messages.
        HandsChanged: a colleague has it, or hands have changed since the page was told; nothing was sent.
    """
    conversation = lock_conversation(conversation_id)
    if client_id:
        first = conversation.messages.filter(client_id=client_id, role=Message.Role.AGENT).first()
        if first is not None:
            return first
    if conversation.status == Status.CLOSED:
        raise ConversationClosed("This conversation is closed.")
    holder = _holder(conversation)
    if holder is not None and holder.pk != author.pk:
        raise HandsChanged(f"{called(holder)} has this conversation now. Your text was not sent.")
    if assignment is not None and conversation.assignment != assignment:
        raise HandsChanged(f"{_changed(conversation)} Your text was not sent.")
    if holder is None:
        _hand_to(conversation, author, actor=author, reason="answered")
    turn = suggestions.turn_of(conversation, suggestion_id) if suggestion_id else None
    message = append_message(
        conversation, role=Message.Role.AGENT, text=text, author=author, client_id=client_id, turn=turn
    )
    if suggestion_id is not None:
        suggestions.settle_sent(suggestion_id=suggestion_id, message=message, agent=author)
    _seen(conversation, conversation.last_seq)
    events.publish(conversation.id, events.MessagePosted(message_payload(message)))
    announce_change(conversation.id)
    return message


@transaction.atomic
def add_note(*, conversation_id: UUID, author: AbstractBaseUser, text: str, client_id: str = "") -> Note:
    """Write down something that only staff read. The same `client_id` again adds nothing.

    Raises NotFound where there is no such conversation.
    """
    conversation = lock_conversation(conversation_id)
    first = conversation.notes.filter(client_id=client_id).first() if client_id else None
    if first is not None:
        return first
    note = conversation.notes.create(
        author=author,  # type: ignore[misc]
        text=text,
        client_id=client_id,
        after_seq=conversation.last_seq,
    )
    frame = {"type": "note.added", "conversation": str(conversation.id), "note": note_payload(note)}
    announce_to_staff(conversation.id, frame)
    return note


@transaction.atomic
def mark_seen(*, conversation_id: UUID, agent: AbstractBaseUser, seq: int) -> None:
    """The agent who has the conversation has read as far as `seq`. From anybody else it changes nothing."""
    conversation = lock_conversation(conversation_id)
    if conversation.assignee_id == agent.pk and seq > conversation.seen_seq:
        _seen(conversation, min(seq, conversation.last_seq))
        announce_change(conversation.id)


def _seen(conversation: Conversation, seq: int) -> None:
    conversation.seen_seq = seq
    conversation.save(update_fields=["seen_seq"])
