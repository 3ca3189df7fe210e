"""The little HTTP beside the socket: the visitor's own conversations, older messages, what the empty chat shows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import NinjaAPI, Query, Schema
from ninja.errors import HttpError

from chatbot.conversations import protocol, selectors
from chatbot.conversations.handshake import visitor_from_cookies
from chatbot.intents.shop import load_shop

api = NinjaAPI(title="Frontdesk chat", version="1", docs_url=None, openapi_url=None, urls_namespace="chat-api")


class ChatInfo(Schema):
    name: str
    greeting: str
    starters: list[str]
    protocol: int


class ConversationItem(Schema):
    id: UUID
    title: str
    status: str
    updated_at: str


class ConversationList(Schema):
    conversations: list[ConversationItem]


class MessagePage(Schema):
    messages: list[dict[str, Any]]
    has_earlier: bool


def _visitor(request: HttpRequest) -> UUID:
    visitor_id = visitor_from_cookies(request.COOKIES)
    if visitor_id is None:
        raise HttpError(401, "Open the chat page first: it sets the cookie that says who you are.")
    return visitor_id


@api.get("/chat", response=ChatInfo)
def chat_info(request: HttpRequest) -> dict[str, Any]:
    """The shop's name and greeting, and questions to start with."""
    shop = load_shop()
    return {
        "name": shop.name,
        "greeting": shop.greeting,
        "starters": list(shop.starters),
        "protocol": protocol.VERSION,
    }


@api.get("/conversations", response=ConversationList)
def conversations(request: HttpRequest) -> dict[str, Any]:
    """The visitor's own conversations, newest first."""
    return {"conversations": selectors.own_conversations(_visitor(request))}


@api.get("/conversations/{conversation_id}/messages", response=MessagePage)
def earlier_messages(request: HttpRequest, conversation_id: UUID, before_seq: int = Query(ge=1)) -> dict[str, Any]:
    """Messages before `before_seq`, oldest first."""
    conversation = selectors.own_conversation(_visitor(request), conversation_id)
    if conversation is None:
        raise HttpError(404, "This conversation does not exist.")
    messages, has_earlier = selectors.earlier_messages(conversation, before_seq)
    return {"messages": messages, "has_earlier": has_earlier}
