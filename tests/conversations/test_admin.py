"""The support desk in Django admin: who may see and do what, and that hostile text stays text."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chatbot.conversations import services
from chatbot.conversations.confidence import Band, band_of, bounds_of
from chatbot.conversations.desk.services import add_note, take_conversation
from chatbot.conversations.legibility import legible
from chatbot.conversations.models import Conversation, Message, Review, Turn
from chatbot.conversations.transcript import PAGE_SIZE, read_transcript
from tests.conversations.records import Told, intent, release

pytestmark = pytest.mark.django_db

LIST = "admin:conversations_conversation_changelist"
Staff = Callable[..., Client]


@pytest.fixture
def staff() -> Staff:
    """A signed-in member of staff who has these permissions."""

    def make(*codenames: str, username: str = "robin") -> Client:
        user = User.objects.create_user(username, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def reviewer(staff: Staff) -> Client:
    views = [f"view_{model}" for model in ("conversation", "message", "review", "turn", "visitor")]
    return staff(*views, "change_conversation")


def address(conversation: Conversation, page: str = "change") -> str:
    return reverse(f"admin:conversations_conversation_{page}", args=[conversation.pk])


def listed(client: Client, **query: str) -> set[str]:
    response = client.get(reverse(LIST), query)
    assert response.status_code == 200
    return {conversation.title for conversation in response.context["cl"].result_list}


# --- Permissions --------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_login_page(client: Client) -> None:
    told = Told()
    told.says("customer", "secret words")
    for page in ("change", "reply", "return", "close"):
        response = client.get(address(told.conversation, page))
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("admin:login"))


def test_staff_without_permission_see_and_do_nothing(staff: Staff) -> None:
    told = Told()
    told.says("customer", "secret words")
    client = staff()
    assert client.get(reverse(LIST)).status_code == 403
    assert client.get(address(told.conversation)).status_code == 403
    for page in ("reply", "return", "close"):
        assert client.post(address(told.conversation, page), {"text": "x"}).status_code == 403
    assert told.conversation.messages.count() == 1


def test_who_may_only_look_finds_no_buttons_and_cannot_act(staff: Staff) -> None:
    told = Told(status="human")
    told.says("customer", "hello")
    client = staff("view_conversation")
    page = client.get(address(told.conversation)).content.decode()
    assert "hello" in page
    assert "<button" not in page.partition('id="content-main"')[2]
    for name in ("reply", "return", "close"):
        assert client.post(address(told.conversation, name), {"text": "x"}).status_code == 403


# Visitors are erased instead: tests/training/test_erasure_admin.py.
@pytest.mark.parametrize("model", ["conversation", "message", "review", "turn"])
def test_nothing_is_added_by_hand_or_deleted_but_by_superusers(model: str, admin_client: Client, staff: Staff) -> None:
    told = Told()
    reply = told.answered("hello", "Hello!", best="greeting")
    assert reply.turn is not None
    review = Review.objects.create(turn=reply.turn, verdict="accepted")
    record = {"conversation": told.conversation, "message": reply, "review": review, "turn": reply.turn}[model]
    trusted = staff(*(f"{verb}_{model}" for verb in ("add", "change", "delete", "view")))
    base = f"admin:conversations_{model}"
    assert trusted.get(reverse(f"{base}_changelist")).status_code == 200
    assert trusted.get(reverse(f"{base}_change", args=[record.pk])).status_code == 200
    for client in (trusted, admin_client):
        assert client.get(reverse(f"{base}_add")).status_code == 403
    assert trusted.post(reverse(f"{base}_delete", args=[record.pk]), {"post": "yes"}).status_code == 403
    assert admin_client.post(reverse(f"{base}_delete", args=[record.pk])).status_code == 200, "asks first"
    assert type(record)._default_manager.filter(pk=record.pk).exists()
    assert admin_client.post(reverse(f"{base}_delete", args=[record.pk]), {"post": "yes"}).status_code == 302
    assert not type(record)._default_manager.filter(pk=record.pk).exists()


def test_text_cannot_be_changed_even_by_superusers(admin_client: Client) -> None:
    told = Told()
    message = told.says("customer", "as it was")
    changed = {"text": "as it was not", "role": "bot"}
    assert (
        admin_client.post(reverse("admin:conversations_message_change", args=[message.pk]), changed).status_code == 403
    )
    assert admin_client.post(address(told.conversation), changed).status_code == 405
    message.refresh_from_db()
    assert message.text == "as it was"


def test_unknown_conversations_are_not_found(admin_client: Client) -> None:
    for key in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        assert admin_client.get(reverse("admin:conversations_conversation_change", args=[key])).status_code == 404


# --- The transcript -----------------------------------------------------------------------------


def test_a_reply_is_shown_with_how_it_came_about(reviewer: Client) -> None:
    told = Told(language="en", external_id="customer-4711")
    reply = told.answered(
        "How can I cancel my order?",
        "Open Account → Orders.",
        rating="down",
        best="cancel-an-order",
        confidence=0.94,
        action="generate",
        reason="understood with 94%",
        generator=release("generator-0007", "generator"),
        finish_reason="stop",
        sources=[{"title": "Cancelling", "url": "/help/cancel/#how", "passage": "Open Account.", "score": 0.81}],
        timings={"queued": 0.031, "first_token": 0.412, "completion_tokens": 58, "tokens_per_second": 30.0},
    )
    Message.objects.filter(pk=reply.pk).update(rating_reason="too short")
    assert reply.turn is not None
    Review.objects.create(turn=reply.turn, verdict="edited", intent=intent("change-an-order"), note="See #4")
    page = reviewer.get(address(told.conversation)).content.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for shown in (
        "Cancel an order 94% high", "Something else", "6%", "In scope : strangeness 0.12, threshold 0.55",
        "Written by the model: understood with 94%", "classifier-0001", "generator-0007", "similarity 0.81",
        "31 ms", "412 ms", "58 tokens", "30.0 tokens/s", "Thumbs down", "too short", "Review: Edited",
        "Change an order", "See #4", "customer-4711",
    ):  # fmt: skip
        assert shown.replace(" :", ":") in text, shown
    assert 'href="/help/cancel/#how"' in page


def test_what_the_guard_changed_is_told_in_words(reviewer: Client) -> None:
    told = Told()
    told.answered(
        "How can I cancel?",
        "Open Account → Orders. You can cancel until it ships.",
        action="generate",
        groundedness={
            "mode": "replace",
            "sentences": [
                {
                    "text": "Click the red button within 30 days.",
                    "fate": "replaced",
                    "score": 0.25,
                    "reasons": [["duration", "30 days"], ["step", "button"]],
                    "shown": "Open Account → Orders.",
                },
                {"text": "You can cancel until it ships.", "fate": "kept", "score": 1.0},
                {"text": "Royal Mail calls you.", "fate": "left out", "score": 0.0, "reasons": [["content", "…"]]},
            ],
        },
    )
    page = reviewer.get(address(told.conversation)).content.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for shown in (
        "2 sentences not in the sources", "1 supported, 1 replaced, 1 left out.",
        "Click the red button within 30 days.", "25% of its words are in the sources",
        "It states the duration “30 days”, which the sources don't state so; it describes a step with “button”",
        "Shown instead: Open Account → Orders.", "is mostly about things that the sources don't mention",
    ):  # fmt: skip
        assert html.escape(shown) in text, shown


def test_failed_stopped_and_owed_turns_stand_below_their_question(reviewer: Client) -> None:
    told = Told()
    question = told.says("customer", "and the voucher?")
    told.turn(question, status=Turn.Status.FAILED, error_code="attempts_exhausted", attempt=3)
    told.turn(question, status=Turn.Status.CANCELLED, is_retry=True)
    told.turn(question, status=Turn.Status.QUEUED, attempt=0)
    [entry] = read_transcript(told.conversation).entries
    assert [explained.turn.status for explained in entry.unanswered] == ["failed", "cancelled", "queued"]
    page = reviewer.get(address(told.conversation)).content.decode()
    assert "<code>attempts_exhausted</code>" in page
    assert "Stopped before anything was written" in page
    assert "Waiting for a worker" in page


HOSTILE = '</div></li></ol><script>alert(1)</script><img src=x onerror="alert(1)">\u202edesrever\u2066\x1b[31m'


def hostile_groundedness() -> dict[str, Any]:
    reasons = [["duration", HOSTILE], ["name", HOSTILE]]
    sentence = {"text": HOSTILE, "fate": "replaced", "score": 0.1, "reasons": reasons, "shown": HOSTILE}
    return {"mode": "replace", "sentences": [sentence]}


def test_hostile_text_stays_text_everywhere(reviewer: Client) -> None:
    told = Told(external_id=HOSTILE, language="<b>")
    question = told.says("customer", HOSTILE)
    turn = told.turn(
        question,
        best="x",
        reason=HOSTILE,
        sources=[
            {"title": HOSTILE, "url": "javascript:alert(1)", "passage": HOSTILE, "score": 0.5},
            {"title": "elsewhere", "url": "//evil.example/", "passage": "", "score": 0.4},
        ],
    )
    Turn.objects.filter(pk=turn.pk).update(groundedness=hostile_groundedness())
    told.says("bot", HOSTILE, turn=turn, quick_replies=[HOSTILE], rating="down", rating_reason=HOSTILE)
    told.turn(question, status=Turn.Status.FAILED, error_code="<i>", error_detail=HOSTILE)
    Review.objects.create(turn=turn, verdict="edited", edited_reply=HOSTILE, note=HOSTILE)
    pages = [address(told.conversation), address(told.conversation, "close"), reverse(LIST)]
    pages += [reverse(f"admin:conversations_{model}_changelist") for model in ("message", "turn", "review", "visitor")]
    records = {"message": Message.objects.all(), "turn": [turn], "visitor": [told.conversation.visitor]}
    pages += [
        reverse(f"admin:conversations_{model}_change", args=[record.pk])
        for model, found in records.items()
        for record in found
    ]
    for url in pages:
        response = reviewer.get(url)
        assert response.status_code == 200
        page = response.content.decode()
        assert "<script>alert" not in page, url
        assert "<img src=x" not in page, url
        assert "\x1b" not in page, url
        assert 'href="javascript:' not in page
        assert 'href="//' not in page
        assert not re.search(r"<style|<[^>]+\sstyle=", page), "the content security policy allows no inline style"
        assert not re.search(r"<script(?![^>]* src=)[^>]*>(?!\s*</script>)", page), "nor inline scripts"
        assert not re.search(r"<[^>]+\son\w+\s*=", page), "nor handlers"
    transcript = reviewer.get(address(told.conversation)).content.decode()
    assert "\u202e" not in transcript
    assert "⟨U+202E⟩" in transcript


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb\rc\td", "a\nb\nc\td"),
        ("\u202eabc\u202c", "⟨U+202E⟩abc⟨U+202C⟩"),
        ("\x00\x1b\x7f\x9b", "⟨U+0000⟩⟨U+001B⟩⟨U+007F⟩⟨U+009B⟩"),
        ("hi\U000e0041", "hi⟨U+E0041⟩"),
        ("مرحبا\u200f 👩‍🚀", "مرحبا\u200f 👩‍🚀"),
    ],
)
def test_deceptive_characters_are_made_visible(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_a_reply_looks_as_the_customer_saw_it(reviewer: Client) -> None:
    told = Told()
    told.answered(
        "how?", "# about\n\nOpen **Orders**:\n\n1. one\n2. [two](javascript:x) ![i](http://x/y.png)\n\n<b>no</b>"
    )
    told.says("customer", "**plain**")
    page = reviewer.get(address(told.conversation)).content.decode()
    assert "<h2>about</h2>" in page, "without an anchor, which could be one of the page's own"
    assert "Open <strong>Orders</strong>" in page
    assert "<li>one</li>" in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert 'src="http://x' not in page
    assert 'href="javascript:' not in page
    assert "**plain**" in page


def test_an_unused_conversation_says_so(reviewer: Client) -> None:
    assert "Nothing has been said here yet" in reviewer.get(address(Told().conversation)).content.decode()


def test_long_conversations_are_paged_and_read_in_few_queries(reviewer: Client) -> None:
    told = Told()
    for number in range(PAGE_SIZE + 10):
        told.says("customer", f"word {number}")
    told.answered("last", "answer", best="x")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = read_transcript(told.conversation)
    assert len(queries) <= 4
    assert [entry.message.seq for entry in page.entries] == list(range(13, PAGE_SIZE + 13))
    assert page.earlier_before == 13
    earlier = reviewer.get(address(told.conversation), {"before": "13"})
    assert len(earlier.context["transcript"].entries) == 12
    assert earlier.context["transcript"].earlier_before is None
    assert reviewer.get(address(told.conversation), {"before": "-1' OR 1"}).context["transcript"].is_latest


def test_a_transcript_tells_when_it_is_no_longer_current(reviewer: Client, client: Client) -> None:
    told = Told()

    def version() -> str:
        mark: str = reviewer.get(address(told.conversation, "version")).json()["version"]
        assert f'data-version="{mark}"' in reviewer.get(address(told.conversation)).content.decode()
        return mark

    seen = [version()]
    turn = told.turn(told.says("customer", "hello"), status=Turn.Status.QUEUED)
    seen.append(version())
    Turn.objects.filter(pk=turn.pk).update(status=Turn.Status.FAILED)
    seen.append(version())
    Conversation.objects.update(status="closed")
    seen.append(version())
    assert len(set(seen)) == 4
    assert version() == seen[-1]
    assert client.get(address(told.conversation, "version")).status_code == 302


# --- What staff do ------------------------------------------------------------------------------


def test_a_person_replies_and_has_the_conversation(reviewer: Client) -> None:
    told = Told()
    told.turn(told.says("customer", "hello"), status=Turn.Status.QUEUED)
    response = reviewer.post(address(told.conversation, "reply"), {"text": " Hello,\r\nhow can I help? "}, follow=True)
    assert response.redirect_chain[0][0].startswith(address(told.conversation))
    joined, reply = told.conversation.messages.filter(seq__gt=1)
    assert joined.text == "A member of our team has joined the conversation."
    assert (reply.role, reply.text) == ("agent", "Hello,\nhow can I help?")
    assert reply.author is not None
    assert reply.author.get_username() == "robin"
    told.conversation.refresh_from_db()
    assert told.conversation.status == "human"
    assert told.conversation.turns.get().status == "cancelled"
    assert "Replied as a person." in reviewer.get(address(told.conversation, "history")).content.decode()


def test_a_reply_to_a_colleagues_conversation_is_given_back_with_their_name(reviewer: Client) -> None:
    told = Told()
    told.says("customer", "hello")
    kim = User.objects.create_user("kim", first_name="Kim")
    take_conversation(conversation_id=told.conversation.pk, agent=kim, assignment=0)
    response = reviewer.post(address(told.conversation, "reply"), {"text": "I am quicker"})
    assert "Kim has this conversation now." in response.context["form"].errors["text"][0]
    assert "I am quicker" in response.content.decode()
    assert not told.conversation.messages.filter(role="agent").exists()


def test_the_transcript_shows_notes_who_had_it_and_where_to_answer(reviewer: Client) -> None:
    told = Told(contact_email="ada@example.com")
    told.says("customer", "hello")
    kim = User.objects.create_user("kim", first_name="Kim")
    take_conversation(conversation_id=told.conversation.pk, agent=kim, assignment=0)
    add_note(conversation_id=told.conversation.pk, author=kim, text="<b>Careful</b>")
    page = reviewer.get(address(told.conversation)).content.decode()
    assert "ada@example.com" in page
    assert "&lt;b&gt;Careful&lt;/b&gt;" in page
    assert "bot → human (kim), by kim" in page


@pytest.mark.parametrize("text", ["", "   ", "x" * 4001, "nul\x00"])
def test_a_reply_that_cannot_be_sent_is_given_back(reviewer: Client, text: str) -> None:
    told = Told()
    told.says("customer", "hello")
    response = reviewer.post(address(told.conversation, "reply"), {"text": text})
    assert response.status_code == 200
    assert response.context["form"].errors["text"]
    assert told.conversation.messages.count() == 1


def test_the_assistant_takes_over_again_once(reviewer: Client) -> None:
    told = Told(status="human")
    told.says("customer", "hello")
    reviewer.post(address(told.conversation, "return"))
    told.conversation.refresh_from_db()
    assert told.conversation.status == "bot"
    page = reviewer.post(address(told.conversation, "return"), follow=True).content.decode()
    assert "This conversation is not waiting for a person." in page


def test_closing_asks_first_and_then_nothing_more_is_taken(reviewer: Client) -> None:
    told = Told()
    told.says("customer", "hello")
    assert "cannot be opened again" in reviewer.get(address(told.conversation, "close")).content.decode()
    told.conversation.refresh_from_db()
    assert told.conversation.status == "bot"
    reviewer.post(address(told.conversation, "close"))
    told.conversation.refresh_from_db()
    assert told.conversation.status == "closed"
    page = reviewer.post(address(told.conversation, "reply"), {"text": "one more"}, follow=True).content.decode()
    assert "This conversation is closed." in page
    assert told.conversation.messages.count() == 1


def test_actions_need_post_and_a_token(reviewer: Client) -> None:
    told = Told(status="human")
    told.says("customer", "hello")
    assert reviewer.get(address(told.conversation, "reply")).status_code == 405
    assert reviewer.get(address(told.conversation, "return")).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = reviewer.cookies
    for page in ("reply", "return", "close"):
        assert strict.post(address(told.conversation, page), {"text": "x"}).status_code == 403
    told.conversation.refresh_from_db()
    assert told.conversation.status == "human"


# --- The list -----------------------------------------------------------------------------------


@pytest.fixture
def desk() -> None:
    """Three conversations that differ in everything that can be filtered by, and one that was never used."""
    sure = Told(language="en", is_demo=True)
    sure.answered("sure", "yes", rating="up", best="cancel-an-order", confidence=0.95)
    unsure = Told(language="de", status="waiting", external_id="customer-77")
    unsure.answered("unsure", "maybe", best="cancel-an-order", confidence=0.6, generator=release("generator-0002"))
    unsure.answered("lost words", "what?", rating="down", best="track-a-parcel", confidence=0.3)
    plain = Told(status="closed")
    plain.says("customer", "plain")
    Told(title="unused")


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({}, {"sure", "unsure", "plain"}),
        ({"contents": "unused"}, {"unused"}),
        ({"contents": "all"}, {"sure", "unsure", "plain", "unused"}),
        ({"status__exact": "waiting"}, {"unsure"}),
        ({"intent": "cancel-an-order"}, {"sure", "unsure"}),
        ({"intent": "none"}, {"plain"}),
        ({"intent": "no-such"}, set()),
        ({"latest_intent": "cancel-an-order"}, {"sure"}),
        ({"latest_intent": "track-a-parcel"}, {"unsure"}),
        ({"latest_intent": "none"}, {"plain"}),
        ({"confidence": "low"}, {"unsure"}),
        ({"confidence": "medium"}, set()),
        ({"confidence": "high"}, {"sure"}),
        ({"confidence": "none"}, {"plain"}),
        ({"rating": "up"}, {"sure"}),
        ({"rating": "down"}, {"unsure"}),
        ({"rating": "none"}, {"plain"}),
        ({"language": "de"}, {"unsure"}),
        ({"language": "none"}, {"plain"}),
        ({"is_demo__exact": "1"}, {"sure"}),
        ({"release": "nonsense"}, set()),
        ({"q": "LOST"}, {"unsure"}),
        ({"q": "lost customer-77"}, {"unsure"}),
        ({"q": "lost plain"}, set()),
        ({"q": "' OR 1=1 --"}, set()),
    ],
)
@pytest.mark.usefixtures("desk")
def test_the_list_narrows_down(reviewer: Client, query: dict[str, str], titles: set[str]) -> None:
    assert listed(reviewer, **query) == titles


@pytest.mark.usefixtures("desk")
def test_the_list_narrows_down_to_a_release_a_visitor_an_id_and_a_day(reviewer: Client) -> None:
    unsure = Conversation.objects.get(title="unsure")
    assert listed(reviewer, release=str(release("generator-0002").pk)) == {"unsure"}
    assert listed(reviewer, release=str(release("classifier-0001").pk)) == {"sure", "unsure"}
    assert listed(reviewer, visitor__id__exact=str(unsure.visitor_id)) == {"unsure"}
    assert listed(reviewer, q=str(unsure.pk)) == {"unsure"}
    assert listed(reviewer, q=str(unsure.pk)[:8]) == {"unsure"}
    Conversation.objects.filter(pk=unsure.pk).update(updated_at="2020-02-03T10:00Z")
    assert listed(reviewer, updated_at__year="2020", updated_at__month="2", updated_at__day="3") == {"unsure"}


@pytest.mark.usefixtures("desk")
def test_the_list_can_be_ordered_by_every_column_and_counted_by_every_filter(reviewer: Client) -> None:
    for column in range(1, 9):
        assert listed(reviewer, o=f"-{column}") == {"sure", "unsure", "plain"}
    assert listed(reviewer, _facets="True") == {"sure", "unsure", "plain"}


def test_the_list_takes_as_many_queries_for_fifty_as_for_one(reviewer: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert reviewer.get(reverse(LIST)).status_code == 200
        return len(captured)

    Told().answered("first", "answer", rating="up", best="x")
    queries()  # content types and the like are cached from here on
    one = queries()
    for number in range(49):
        Told().answered(f"question {number}", "answer", rating="down", best="x")
    assert queries() == one
    for model in ("turn", "message"):
        with CaptureQueriesContext(connection) as captured:
            reviewer.get(reverse(f"admin:conversations_{model}_changelist"))
        assert len(captured) <= 12, model


@pytest.mark.parametrize(("confidence", "band"), [(0.0, "low"), (0.4499, "low"), (0.45, "medium"), (0.7999, "medium"),
                                                  (0.8, "high"), (1.0, "high")])  # fmt: skip
def test_bands_have_no_gaps(confidence: float, band: str) -> None:
    assert band_of(confidence) == band
    lower, upper = bounds_of(Band(band))
    assert lower <= confidence < upper


def test_turns_and_messages_can_be_searched_and_filtered(reviewer: Client) -> None:
    told = Told()
    told.answered("where is it", "Here.", best="track-a-parcel", action="generate")
    told.turn(told.says("customer", "hmm"), status=Turn.Status.FAILED)
    turns = reviewer.get(reverse("admin:conversations_turn_changelist"), {"status__exact": "failed"})
    assert [turn.message.text for turn in turns.context["cl"].result_list] == ["hmm"]
    found = reviewer.get(reverse("admin:conversations_message_changelist"), {"q": "where"})
    assert [message.text for message in found.context["cl"].result_list] == ["where is it"]


# --- The audit log ------------------------------------------------------------------------------


def test_reviews_are_in_the_audit_log() -> None:
    told = Told()
    reply = told.answered("hello", "Hello!", best="greeting")
    assert reply.turn is not None
    review = Review.objects.create(turn=reply.turn, verdict="accepted")
    review.verdict = "rejected"
    review.save()
    changes = [entry.changes_dict for entry in LogEntry.objects.get_for_object(review).order_by("id")]
    assert changes[1]["verdict"] == ["accepted", "rejected"]


def test_a_conversation_that_came_through_the_services_reads_the_same(reviewer: Client) -> None:
    conversation = services.start_conversation(visitor_id=Told().conversation.visitor_id)
    services.send_message(
        visitor_id=conversation.visitor_id, conversation_id=conversation.pk, client_id="a1", text="hello there"
    )
    assert "hello there" in listed(reviewer)
    assert "Waiting for a worker" in reviewer.get(address(conversation)).content.decode()
    assert get_user_model() is User
