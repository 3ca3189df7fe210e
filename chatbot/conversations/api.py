"""The little HTTP beside the socket: the visitor's own conversations, older messages, what the empty chat shows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import NinjaAPI, Query, Schema, Status
from ninja.errors import HttpError

from chatbot.conversations import protocol, selectors
from chatbot.conversations.attachments.api import refusal, router
from chatbot.conversations.attachments.selectors import attachment_rules
from chatbot.conversations.callers import caller_of, visitor_of
from chatbot.conversations.models import Visitor
from chatbot.conversations.sessions import answer_consent, open_session
from chatbot.conversations.visitor_tokens import read_token, write_token
from chatbot.exceptions import IdentityRefused, Refused
from chatbot.intents.shop import load_shop
from chatbot.sites.selectors import active_site

api = NinjaAPI(title="Frontdesk chat", version="1", docs_url=None, openapi_url=None, urls_namespace="chat-api")
api.add_router("/attachments", router)
api.add_exception_handler(Refused, refusal)


class AttachmentRules(Schema):
    max_mib: int
    per_message: int


class ChatInfo(Schema):
    name: str
    greeting: str
    starters: list[str]
    protocol: int
    training: str
    agreed: bool | None = None
    attachments: AttachmentRules | None = None


class SessionRequest(Schema):
    site: str
    token: str = ""
    identity: str = ""


class Session(Schema):
    token: str
    visitor: UUID
    expires_in: int


class Consent(Schema):
    agreed: bool


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


@api.post("/session", response=Session)
def session(request: HttpRequest, body: SessionRequest) -> dict[str, Any]:
    """A session for a chat that is embedded in a site, new, renewed, or of the customer whom the site vouches for."""
    site = active_site(body.site)
    if site is None:
        raise HttpError(404, "There is no such site.")
    try:
        token = open_session(site=site, token=read_token(body.token), identity=body.identity)
    except IdentityRefused as error:
        raise HttpError(403, str(error)) from error
    return {"token": write_token(token), "visitor": token.visitor, "expires_in": token.age_s}


@api.post("/consent", response={204: None})
def consent(request: HttpRequest, body: Consent) -> Status[None]:
    """Whether what this visitor says may be trained on. Only an embedded chat asks."""
    caller = caller_of(request)
    if caller.visitor is None or caller.site is None:
        raise HttpError(401, "This needs the session of an embedded chat.")
    answer_consent(visitor_id=caller.visitor, site=caller.site, agreed=body.agreed)
    return Status(204, None)


@api.get("/chat", response=ChatInfo)
def chat_info(request: HttpRequest) -> dict[str, Any]:
    """What the empty chat shows: the shop's name and greeting, or the site's own, and questions to start with."""
    caller, shop = caller_of(request), load_shop()
    info = {
        "name": shop.name,
        "greeting": shop.greeting,
        "starters": list(shop.starters),
        "protocol": protocol.VERSION,
        "training": "shop",
        "attachments": attachment_rules(caller.site),
    }
    if caller.visitor is not None and caller.site is not None:
        info |= {
            "name": caller.site.name,
            "greeting": caller.site.greeting or shop.greeting,
            "starters": caller.site.starter_questions or list(shop.starters),
            "training": caller.site.training,
            "agreed": Visitor.objects.filter(pk=caller.visitor).values_list("agreed_to_training", flat=True).first(),
        }
    return info


@api.get("/conversations", response=ConversationList)
def conversations(request: HttpRequest) -> dict[str, Any]:
    """The visitor's own conversations, newest first."""
    return {"conversations": selectors.own_conversations(visitor_of(request))}


@api.get("/conversations/{conversation_id}/messages", response=MessagePage)
def earlier_messages(request: HttpRequest, conversation_id: UUID, before_seq: int = Query(ge=1)) -> dict[str, Any]:
    """Messages before `before_seq`, oldest first."""
    conversation = selectors.own_conversation(visitor_of(request), conversation_id)
    if conversation is None:
        raise HttpError(404, "This conversation does not exist.")
    messages, has_earlier = selectors.earlier_messages(conversation, before_seq)
    return {"messages": messages, "has_earlier": has_earlier}
