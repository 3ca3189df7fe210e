"""Chats embedded in other sites: their tokens, their sessions, and to whom what was said belongs."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.core import signing
from django.test import Client
from django.utils import timezone

from chatbot.asgi import application
from chatbot.conversations import consumers, services
from chatbot.conversations.handshake import SALT, SUBPROTOCOL, TOKEN_PREFIX
from chatbot.conversations.models import Conversation, ReviewItem, Turn, Visitor
from chatbot.conversations.triage import triage_due
from chatbot.conversations.visitor_tokens import VisitorToken, read_token, write_token
from chatbot.sites.models import Site

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a secret that both servers know, long enough"
PATIENCE_S = 20


@pytest.fixture
def site() -> Site:
    return make_site()


def make_site(key: str = "shop", **fields: Any) -> Site:
    fields = {"name": "Tea <& Co>", "allowed_origins": "https://www.shop.example", "identity_key": SECRET, **fields}
    return Site.objects.create(key=key, **{"identity": Site.Identity.OPTIONAL, **fields})


def signed(subject: str = "customer-7", **claims: Any) -> str:
    return jwt.encode({"sub": subject, "exp": datetime.now(UTC) + timedelta(minutes=5), **claims}, SECRET)


def session(key: str = "shop", *, status: int = 200, **fields: str) -> dict[str, Any]:
    body = json.dumps({"site": key, **fields})
    response = Client().post("/api/session", body, content_type="application/json")
    assert response.status_code == status, response.content
    assert not response.cookies
    answered: dict[str, Any] = response.json()
    return answered


def said(token: str, text: str = "How can I cancel?") -> Conversation:
    read = read_token(token)
    assert read is not None
    conversation = services.start_conversation(visitor_id=read.visitor, site=Site.objects.get(key=read.site))
    services.send_message(visitor_id=read.visitor, conversation_id=conversation.id, client_id="c-1", text=text)
    return conversation


# --- Tokens -----------------------------------------------------------------------------------------


def test_a_token_reads_back_and_fits_a_subprotocol():
    token = VisitorToken(uuid.uuid4(), "shop", is_identified=True)
    text = write_token(token)
    assert read_token(text) == token
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@pytest.mark.parametrize("text", ["", "x", "é", "====", write_token(VisitorToken(uuid.uuid4(), "shop"))[:-4] + "AAAA"])
def test_what_we_did_not_sign_is_no_token(text: str):
    assert read_token(text) is None


def test_a_cookie_is_no_token():
    assert read_token(signing.TimestampSigner(salt=SALT).sign(str(uuid.uuid4()))) is None


def test_a_vouched_for_session_ends_sooner(monkeypatch: pytest.MonkeyPatch):
    texts = [write_token(VisitorToken(uuid.uuid4(), "shop", is_identified=known)) for known in (True, False)]
    later = datetime.now(UTC).timestamp() + 13 * 3600
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)
    assert [read_token(text) is None for text in texts] == [True, False]


# --- Opening a session --------------------------------------------------------------------------------


def test_a_new_visitor_begins_and_is_the_same_afterwards(site: Site):
    first = session()
    assert session(token=first["token"])["visitor"] == first["visitor"]
    assert session()["visitor"] != first["visitor"]
    assert not Visitor.objects.exists()


def test_a_token_of_another_site_begins_anew(site: Site):
    make_site("other")
    first = session("other")
    assert session(token=first["token"])["visitor"] != first["visitor"]


def test_a_site_that_is_unknown_or_closed_has_no_chat(site: Site, client: Client):
    token = session()["token"]
    Site.objects.update(is_active=False)
    session(status=404)
    assert client.get("/embed/shop/").status_code == 404
    assert client.get("/api/chat", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_signing_in_joins_what_was_said_before_and_ends_the_old_session(site: Site):
    anonymous = session()
    conversation = said(anonymous["token"])
    identified = session(token=anonymous["token"], identity=signed(name="Robin"))
    assert identified["visitor"] != anonymous["visitor"]
    conversation.refresh_from_db()
    assert str(conversation.visitor_id) == identified["visitor"]
    assert not Visitor.objects.filter(pk=anonymous["visitor"]).exists()
    visitor = Visitor.objects.get(pk=identified["visitor"])
    assert (visitor.external_id, visitor.name, visitor.site) == ("customer-7", "Robin", site)
    # On another device.
    assert session(identity=signed())["visitor"] == identified["visitor"]
    assert session(identity=signed("customer-8"))["visitor"] != identified["visitor"]


def test_one_customer_never_gets_what_another_said(site: Site):
    first = session(identity=signed())
    conversation = said(first["token"])
    session(token=first["token"], identity=signed("customer-8"))
    conversation.refresh_from_db()
    assert str(conversation.visitor_id) == first["visitor"]


def test_the_same_customer_of_two_sites_is_two_visitors(site: Site):
    make_site("other")
    assert session(identity=signed())["visitor"] != session("other", identity=signed())["visitor"]


def test_a_forged_identity_is_refused_with_a_reason(site: Site):
    forged = jwt.encode({"sub": "customer-7", "exp": 4102444800}, "another secret that is just as long as it")
    assert "ignature" in session(identity=forged, status=403)["detail"]
    assert not Visitor.objects.exists()


def test_an_enforcing_site_refuses_strangers_everywhere(site: Site, client: Client):
    token = session()["token"]
    Site.objects.update(identity=Site.Identity.ENFORCED)
    assert session(status=403)["detail"] == "Please sign in to chat with us."
    session(token=token, status=403)
    assert client.get("/api/conversations", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    identified = session(identity=signed())
    authorization = {"Authorization": f"Bearer {identified['token']}"}
    assert client.get("/api/conversations", headers=authorization).status_code == 200
    assert session(token=identified["token"])["visitor"] == identified["visitor"]


# --- The API by token ---------------------------------------------------------------------------------


def test_a_visitor_lists_their_own_conversations_by_token(site: Site, client: Client):
    mine, theirs = session(), session()
    conversation = said(mine["token"])
    said(theirs["token"])
    authorization = {"Authorization": f"Bearer {mine['token']}"}
    listed = client.get("/api/conversations", headers=authorization).json()["conversations"]
    assert [entry["id"] for entry in listed] == [str(conversation.id)]


def test_a_bad_token_is_not_made_good_by_a_cookie(site: Site, client: Client):
    client.get("/")
    assert client.get("/api/conversations").status_code == 200
    assert client.get("/api/conversations", headers={"Authorization": "Bearer x"}).status_code == 401


def test_the_empty_chat_shows_the_sites_own_words(site: Site, client: Client):
    Site.objects.update(greeting="Tea?", starters="Green?\n\nBlack?", training=Site.Training.ASK)
    shown = client.get("/api/chat", headers={"Authorization": f"Bearer {session()['token']}"}).json()
    assert (shown["name"], shown["greeting"], shown["starters"]) == ("Tea <& Co>", "Tea?", ["Green?", "Black?"])
    assert (shown["training"], shown["agreed"]) == ("ask", None)
    assert client.get("/api/chat").json()["training"] == "shop"


# --- Consent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "agreed", "may_train"),
    [
        ("never", None, False),
        ("never", True, False),
        ("notice", None, True),
        ("notice", False, False),
        ("ask", None, False),
        ("ask", True, True),
        ("ask", False, False),
    ],
)
def test_training_needs_the_sites_rule_and_the_visitors_word(rule: str, agreed: bool | None, may_train: bool):
    site = make_site(training=rule)
    token = session()["token"]
    if agreed is not None:
        answer(token, agreed)
    assert said(token).training_consent == may_train
    assert Visitor.objects.get().site == site


def answer(token: str, agreed: bool) -> None:
    body, authorization = json.dumps({"agreed": agreed}), {"Authorization": f"Bearer {token}"}
    response = Client().post("/api/consent", body, content_type="application/json", headers=authorization)
    assert response.status_code == 204


def test_an_answer_goes_for_what_was_said_before_and_can_be_taken_back(site: Site):
    Site.objects.update(training=Site.Training.ASK)
    token = session()["token"]
    conversation = said(token)
    for agreed in (True, False):
        answer(token, agreed)
        conversation.refresh_from_db()
        assert conversation.training_consent == agreed


def test_a_refusal_survives_signing_in(site: Site):
    token = session()["token"]
    said(token)
    answer(token, False)
    session(token=token, identity=signed())
    assert Visitor.objects.get(external_id="customer-7").agreed_to_training is False
    assert not said(session(identity=signed())["token"]).training_consent


def test_a_refusal_given_elsewhere_reaches_what_the_customer_had_said_before(site: Site):
    said(session(identity=signed())["token"])
    token = session()["token"]
    said(token)
    answer(token, False)
    session(token=token, identity=signed())
    assert list(Conversation.objects.values_list("training_consent", flat=True)) == [False, False]


def test_who_takes_consent_back_is_no_longer_in_the_review_queue(site: Site):
    token = session()["token"]
    said(token)
    tie = {"ranking": [["refund", 0.41], ["return", 0.4]]}
    Turn.objects.update(status=Turn.Status.DONE, prediction=tie, finished_at=timezone.now())
    triage_due()
    assert ReviewItem.objects.count() == 1
    answer(token, False)
    triage_due()
    assert not ReviewItem.objects.exists()


# --- The page and the loader --------------------------------------------------------------------------


def test_only_the_sites_origins_may_frame_its_chat_and_no_cookie_is_set(site: Site, client: Client):
    response = client.get("/embed/shop/")
    policy = response["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://www.shop.example" in policy
    assert "script-src 'self'" in policy
    assert "X-Frame-Options" not in response
    assert not response.cookies
    page = response.content.decode()
    assert 'data-site="shop"' in page
    assert "Tea &lt;&amp; Co&gt;" in page
    assert "<& Co>" not in page
    assert "frame-ancestors 'none'" in client.get("/")["Content-Security-Policy"]


def test_the_loader_is_small_and_may_be_fetched_from_anywhere(client: Client, site: Site):
    import gzip

    response = client.get("/widget.js")
    script = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    assert response["Content-Type"] == "text/javascript; charset=utf-8"
    assert response["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert len(gzip.compress(script)) < 5_000
    # A classic script: an import would be a syntax error on the page that names it.
    assert b"import" not in script.replace(b"important", b"")
    button = client.get("/embed/shop/launcher.json")
    assert button["Access-Control-Allow-Origin"] == "*"
    assert button.json() == {"name": "Tea <& Co>", "accent": "#0b6b5b"}


# --- The socket by token ------------------------------------------------------------------------------


def socket_with(*subprotocols: str, cookie: str = "") -> WebsocketCommunicator:
    headers = [(b"host", b"desk.example"), (b"origin", b"http://desk.example"), (b"cookie", cookie.encode())]
    return WebsocketCommunicator(application, "/ws/chat/", headers, list(subprotocols))


@pytest.mark.asyncio
async def test_an_embedded_page_chats_by_its_token(site: Site):
    opened = await sync_to_async(session)()
    socket = socket_with(SUBPROTOCOL, TOKEN_PREFIX + opened["token"])
    assert await socket.connect(timeout=PATIENCE_S) == (True, SUBPROTOCOL)
    await socket.send_json_to({"type": "hello", "protocol": 1})
    ready = await socket.receive_json_from(timeout=PATIENCE_S)
    conversation = await Conversation.objects.select_related("visitor__site").aget(pk=ready["conversation"])
    assert str(conversation.visitor_id) == opened["visitor"]
    assert conversation.visitor.site == site
    await socket.disconnect()


@pytest.mark.asyncio
async def test_a_bad_token_is_refused_even_beside_a_good_cookie(site: Site):
    cookie = f"frontdesk_visitor={signing.TimestampSigner(salt=SALT).sign(str(uuid.uuid4()))}"
    connected, code = await socket_with(SUBPROTOCOL, TOKEN_PREFIX + "x", cookie=cookie).connect(timeout=PATIENCE_S)
    assert (connected, code) == (False, 4403)


@pytest.mark.asyncio
async def test_a_site_that_has_closed_closes_its_sockets_too(site: Site):
    opened = await sync_to_async(session)()
    await Site.objects.aupdate(is_active=False)
    socket = socket_with(SUBPROTOCOL, TOKEN_PREFIX + opened["token"])
    await socket.connect(timeout=PATIENCE_S)
    closed = await socket.receive_output(timeout=PATIENCE_S)
    assert (closed["type"], closed["code"]) == ("websocket.close", consumers.NOT_ADMITTED)
