"""What each command of an inbox page does. Run in a database thread, for an account that was just read anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser

from chatbot.conversations.desk import protocol, selectors, services, suggestions
from chatbot.exceptions import NotFound


def take(agent: AbstractBaseUser, frame: protocol.Take) -> None:
    services.take_conversation(
        conversation_id=frame.conversation, agent=agent, assignment=frame.assignment, take_over=frame.take_over
    )


def assign(agent: AbstractBaseUser, frame: protocol.Assign) -> None:
    to = get_user_model()._default_manager.filter(pk=frame.to).first()
    if to is None:
        raise NotFound("This colleague does not exist.")
    services.assign_conversation(conversation_id=frame.conversation, agent=agent, to=to, assignment=frame.assignment)


def release(agent: AbstractBaseUser, frame: protocol.Release) -> None:
    services.release_conversation(conversation_id=frame.conversation, agent=agent, assignment=frame.assignment)


def give_back(agent: AbstractBaseUser, frame: protocol.GiveBack) -> None:
    services.return_to_bot(conversation_id=frame.conversation, agent=agent, assignment=frame.assignment)


def close(agent: AbstractBaseUser, frame: protocol.Close) -> None:
    services.close_conversation(conversation_id=frame.conversation, agent=agent, assignment=frame.assignment)


def answer(agent: AbstractBaseUser, frame: protocol.Answer) -> dict[str, Any]:
    """Gives the message as the inbox carries it."""
    message = services.post_agent_message(
        conversation_id=frame.conversation,
        author=agent,
        text=frame.text,
        assignment=frame.assignment,
        client_id=frame.client_id,
        suggestion_id=frame.suggestion,
    )
    return selectors.staff_message(message)


def add_note(agent: AbstractBaseUser, frame: protocol.AddNote) -> None:
    services.add_note(conversation_id=frame.conversation, author=agent, text=frame.text, client_id=frame.client_id)


def seen(agent: AbstractBaseUser, frame: protocol.Seen) -> None:
    services.mark_seen(conversation_id=frame.conversation, agent=agent, seq=frame.seq)


def suggest(agent: AbstractBaseUser, frame: protocol.Suggest) -> None:
    suggestions.request_suggestion(conversation_id=frame.conversation, agent=agent)


COMMANDS: dict[type[Any], Callable[[AbstractBaseUser, Any], None]] = {
    protocol.Take: take,
    protocol.Assign: assign,
    protocol.Release: release,
    protocol.GiveBack: give_back,
    protocol.Close: close,
    protocol.AddNote: add_note,
    protocol.Seen: seen,
    protocol.Suggest: suggest,
}
