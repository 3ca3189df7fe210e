"""Reviewing in the admin: who may, one turn after the other, two reviewers at once, and many rows together."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chatbot.conversations.models import Conversation, Message, Review, ReviewItem, Turn
from chatbot.conversations.triage import triage_due
from chatbot.intents.models import Intent
from chatbot.operations.staff import sync_groups
from tests.conversations.records import Told, intent

pytestmark = pytest.mark.django_db

LIST = "/admin/conversations/reviewitem/"
NEXT = LIST + "next/"
UNDO = LIST + "undo/"
TURNS = "/admin/conversations/turn/"
CONVERSATIONS = "/admin/conversations/conversation/"
HOSTILE = '</li><script>alert(1)</script><img src=x onerror="alert(1)">\u202edesrever'


def member(group: str | None, name: str = "") -> Client:
    sync_groups()
    user = User.objects.create_user(name or f"{group}-robin", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def robin() -> Client:
    return member("support", "robin")


@pytest.fixture
def kim() -> Client:
    return member("support", "kim")


def waiting(confidence: float = 0.52, question: str = "which one?", **fields: Any) -> Turn:
    """A turn that waits in the queue; the nearer to 0.5, the earlier."""
    turn = Told().answered(question, "This one.", best="refund", confidence=confidence, **fields).turn
    assert turn is not None
    triage_due()
    return turn


def page(turn: Turn, action: str = "") -> str:
    return f"{LIST}turn/{turn.pk}/{action}"


def judge(client: Client, turn: Turn, seen_version: int = 0, **given: Any) -> Any:
    return client.post(page(turn), {"seen_version": seen_version, "decision": "refund", **given})


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition('id="content"')[2]))


# --- Who may ----------------------------------------------------------------------------------------


def every_request(client: Client, turn: Turn) -> dict[str, int]:
    """What each address answers. POST where it changes something."""
    conversation = f"{CONVERSATIONS}{turn.conversation_id}/training/"
    posts = {page(turn): {"verdict": "accepted", "decision": "", "seen_version": 0}, page(turn, "later/"): {}}
    posts |= {page(turn, "exclude/"): {}, UNDO: {}, conversation: {"excluded": "yes"}}
    answers = {address: client.get(address).status_code for address in (LIST, NEXT, page(turn))}
    return answers | {f"POST {address}": client.post(address, data).status_code for address, data in posts.items()}


def test_strangers_are_sent_to_the_login() -> None:
    turn = waiting()
    assert set(every_request(Client(), turn).values()) == {302}
    for address in (LIST, NEXT, page(turn)):
        assert Client().get(address)["Location"].startswith(reverse("admin:login"))
    assert not Review.objects.exists()
    assert not Conversation.objects.filter(excluded_from_training=True).exists()


def test_staff_without_the_permission_do_and_see_nothing() -> None:
    turn = waiting()
    client = member(None)
    assert set(every_request(client, turn).values()) == {403}
    data = {"action": "accept_selected", "_selected_action": [turn.pk], "confirmed": "yes"}
    assert client.post(TURNS, data).status_code == 403
    assert not Review.objects.exists()


def test_who_may_only_look_reads_the_queue_and_finds_no_button() -> None:
    turn = waiting()
    client = member(None)
    user = User.objects.get()
    user.user_permissions.set(
        Permission.objects.filter(codename__startswith="view_", content_type__app_label="conversations")
    )
    listed = client.get(LIST).content.decode()
    assert "Start reviewing" not in listed
    assert "accept_selected" not in listed
    assert "which one?" in listed
    assert client.get(page(turn)).status_code == 403
    transcript = client.get(f"{CONVERSATIONS}{turn.conversation_id}/change/").content.decode()
    assert "fd-review-link" not in transcript
    assert "Exclude from training" not in transcript


@pytest.mark.parametrize("group", ["support", "operator"])
def test_support_and_operators_review(group: str) -> None:
    turn = waiting()
    client = member(group)
    assert judge(client, turn, verdict="accepted").status_code == 302
    assert Review.objects.get(turn=turn).verdict == "accepted"
    assert ("A new intent" in client.get(page(turn)).content.decode()) == (group == "operator")


def test_only_posts_change_anything_and_only_with_a_token(robin: Client) -> None:
    turn = waiting()
    for address in (page(turn, "later/"), page(turn, "exclude/"), UNDO):
        assert robin.get(address).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = robin.cookies
    for address in (page(turn), page(turn, "later/"), page(turn, "exclude/"), UNDO):
        assert strict.post(address, {"decision": "refund", "seen_version": 0}).status_code == 403
    assert not Review.objects.exists()


# --- One after the other ------------------------------------------------------------------------------


def test_the_queue_says_why_and_leads_through_itself(robin: Client) -> None:
    later, first = waiting(0.56, "later"), waiting(0.51, "first")
    html = robin.get(LIST).content.decode()
    assert "0 reviewed today · 2 wait" in text_of(html)
    assert "“Refund” 51%, “Something else” 49%: nearly a tie" in html
    assert html.index(">first<") < html.index(">later<")
    assert robin.get(NEXT)["Location"] == page(first)
    answer = judge(robin, first, verdict="rejected", note="Dear\r\nKim")
    assert answer["Location"] == page(later)
    review = Review.objects.get(turn=first)
    assert (review.intent, review.verdict, review.note) == (intent("refund"), "rejected", "Dear\nKim")
    assert review.reviewed_by == User.objects.get(username="robin")
    opened = robin.get(page(later)).content.decode()
    assert "Saved: rejected." in opened
    assert "1 reviewed today, 1 by you" not in text_of(opened)
    assert "1 reviewed today · 1 waits" in text_of(opened)
    assert judge(robin, later, decision=":out-of-scope")["Location"] == LIST
    assert Review.objects.get(turn=later).out_of_scope
    done = robin.get(LIST).content.decode()
    assert "Nothing waits for a review." in done
    assert "Start reviewing" not in done


def test_the_page_has_the_turn_in_its_conversation_and_what_the_bot_took_it_for_ticked(robin: Client) -> None:
    told = Told()
    told.answered("hello", "Hi!", best="greeting")
    turn = told.answered("money back?", "Soon.", best="refund", confidence=0.52, rating="down").turn
    assert turn is not None
    told.answered("thanks", "Welcome!", best="thanks")
    html = robin.get(page(turn)).content.decode()
    assert [f'id="message-{seq}"' in html for seq in range(1, 7)] == [True] * 6
    assert html.count("fd-under-review") == 2
    assert re.search(r'value="refund" data-key="1" checked>', html)
    assert re.search(r'name="verdict" value="" checked>', html)
    assert html.count("fd-review-link") == 2
    assert "This turn does not wait in the queue" in html
    assert "Shortcuts" in html


def test_a_missed_turn_has_nothing_ticked_unless_the_customer_chose_afterwards(robin: Client) -> None:
    told = Told()
    question = told.says("customer", "about the thing")
    turn = told.turn(question, best="refund", confidence=0.52, is_miss=True)
    told.says("bot", "Did you mean one of these?", turn=turn, quick_replies=["Something?", "Refund?"])
    triage_due()
    assert re.search(r'name="decision" value="" checked>', robin.get(page(turn)).content.decode())
    told.answered("Something?", "Here.", best="something-else", confidence=0.99)
    triage_due()
    html = robin.get(page(turn)).content.decode()
    assert "the customer chose “Something else”" in html
    assert re.search(r'value="something-else" data-key="1" checked>', html)


def test_put_off_turns_come_last_and_an_excluded_conversation_leaves(robin: Client) -> None:
    first, second = waiting(0.51), waiting(0.55)
    assert robin.post(page(first, "later/"))["Location"] == page(second)
    assert ReviewItem.objects.get(turn=first).skips == 1
    assert robin.post(page(second, "exclude/"))["Location"] == page(first)
    second.conversation.refresh_from_db()
    assert second.conversation.excluded_from_training
    assert list(ReviewItem.objects.values_list("turn", flat=True)) == [first.pk]
    assert "Put off" in robin.get(LIST).content.decode()
    entry = LogEntry.objects.get(object_pk=str(second.conversation_id))
    assert entry.changes == {"excluded_from_training": ["False", "True"]}
    assert entry.actor == User.objects.get(username="robin")


def test_the_last_review_is_taken_back_and_opens_again(robin: Client) -> None:
    first = waiting(0.51)
    waiting(0.55)
    judge(robin, first, verdict="accepted")
    answer = robin.post(UNDO)
    assert answer["Location"] == page(first)
    assert not Review.objects.exists()
    assert ReviewItem.objects.filter(turn=first).exists()
    assert "Taken back" in robin.get(page(first)).content.decode()
    assert "There is nothing to undo" in robin.post(UNDO, follow=True).content.decode()


def test_what_others_changed_since_is_not_taken_back(robin: Client, kim: Client) -> None:
    turn, gone = waiting(0.51), waiting(0.52)
    judge(robin, turn, verdict="accepted")
    judge(kim, turn, 1, verdict="rejected")
    assert "Somebody else has changed this review since" in robin.post(UNDO, follow=True).content.decode()
    assert Review.objects.get(turn=turn).verdict == "rejected"
    assert "a change of an earlier one" in kim.post(UNDO, follow=True).content.decode()
    judge(robin, gone, verdict="accepted")
    gone.conversation.visitor.delete()
    assert "it was erased meanwhile" in robin.post(UNDO, follow=True).content.decode()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"decision": ""}, None),
        ({"decision": ":other"}, "other"),
        ({"decision": ":other", "other": "nothing-like-it"}, "other"),
        ({"decision": "no-suggestion"}, "decision"),
        ({"verdict": "edited", "edited_reply": ""}, "edited_reply"),
        ({"verdict": "edited", "edited_reply": "This one.\r\n"}, "edited_reply"),
        ({"verdict": "edited", "edited_reply": "x" * 4001}, "edited_reply"),
        ({"verdict": "perhaps"}, "verdict"),
        ({"note": "nul\x00"}, "note"),
        ({"seen_version": "-1"}, "seen_version"),
    ],
)
def test_what_cannot_be_saved_is_given_back_with_a_word_about_it(
    robin: Client, given: dict[str, Any], field: str | None
) -> None:
    turn = waiting()
    answer = robin.post(
        page(turn),
        {"decision": "refund", "seen_version": 0, "note": "kept words"} | given
        if given.get("decision") != ""
        else {"decision": "", "seen_version": 0},
    )
    assert answer.status_code == 200
    errors = answer.context["form"].errors
    assert list(errors) == [field or "__all__"]
    if "note" not in given and given.get("decision") != "":
        assert "kept words" in answer.content.decode()
    assert not Review.objects.exists()


def test_any_intent_of_the_catalogue_can_be_chosen_with_or_without_its_radio(robin: Client) -> None:
    far = intent("far-away")
    for decision in (":other", ""):
        turn = waiting()
        judge(robin, turn, decision=decision, other=far.slug, verdict="edited", edited_reply="Another\r\nanswer")
        review = Review.objects.get(turn=turn)
        assert (review.intent, review.edited_reply) == (far, "Another\nanswer")
    html = robin.get(page(turn)).content.decode()
    assert "as reviewed before" in html
    Intent.objects.filter(pk=far.pk).update(is_active=False)
    assert judge(robin, waiting(), decision=":other", other=far.slug).status_code == 200


def test_a_new_intent_is_made_by_those_who_may(robin: Client) -> None:
    turn, operator = waiting(), member("operator")
    new: dict[str, Any] = {"decision": ":new", "new_name": "  Repair a  zip "}
    assert judge(robin, turn, **new).status_code == 200
    assert not Intent.objects.filter(slug="repair-a-zip").exists()
    assert judge(operator, turn, **new).status_code == 302
    review = Review.objects.get(turn=turn)
    assert review.intent is not None
    assert (review.intent.slug, review.intent.name) == ("repair-a-zip", "Repair a zip")
    again = judge(operator, waiting(), decision=":new", new_name="repair A zip")
    assert "has an intent “repair A zip” already" in again.content.decode()
    assert "needs letters" in judge(operator, waiting(), decision=":new", new_name="???").content.decode()
    # A review that meets another leaves no intent behind.
    assert judge(operator, turn, 0, decision=":new", new_name="Left over").status_code == 409
    assert not Intent.objects.filter(slug="left-over").exists()


def test_a_turn_without_a_reply_is_judged_by_its_intent_alone(robin: Client) -> None:
    told = Told()
    turn = told.turn(told.says("customer", "hello?"), best="greeting", status=Turn.Status.FAILED)
    html = robin.get(page(turn)).content.decode()
    assert "ended without a reply" in html
    assert 'name="verdict"' not in html
    assert judge(robin, turn, decision="greeting", verdict="accepted").status_code == 302
    assert Review.objects.get(turn=turn).verdict == ""


def test_what_is_no_longer_there_is_not_found(robin: Client) -> None:
    for action in ("", "exclude/"):
        address = f"{LIST}turn/{uuid.uuid4()}/{action}"
        assert (robin.post if action else robin.get)(address).status_code == 404
    assert robin.post(f"{LIST}turn/{uuid.uuid4()}/later/")["Location"] == LIST
    assert robin.get(f"{LIST}123456/change/")["Location"] == LIST


# --- Two reviewers ------------------------------------------------------------------------------------


def test_the_second_of_two_sees_both_decisions_and_decides(robin: Client, kim: Client) -> None:
    turn = waiting()
    robin.get(page(turn))
    assert "robin opened this" in kim.get(page(turn)).content.decode()
    assert "robin is looking at it" in kim.get(LIST).content.decode()
    judge(robin, turn, verdict="rejected", note="robin's words")
    answer = judge(kim, turn, verdict="edited", edited_reply="kim's words", decision="something-else")
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "robin reviewed this turn while you did" in html
    assert "robin&#x27;s words" in html
    assert "kim&#x27;s words" in html
    assert re.search(r'value="something-else" data-key="\d" checked>', html)
    assert Review.objects.get(turn=turn).verdict == "rejected"
    judge(kim, turn, answer.context["form"]["seen_version"].value(), verdict="edited", edited_reply="kim's words")
    assert Review.objects.get(turn=turn).edited_reply == "kim's words"
    answer = judge(robin, turn, 1, verdict="accepted")
    assert answer.status_code == 409
    Review.objects.all().delete()
    answer = judge(robin, turn, 1, verdict="accepted")
    assert "was taken back meanwhile" in answer.content.decode()


def test_two_reviewers_are_led_to_different_turns(robin: Client, kim: Client) -> None:
    first, second = waiting(0.51), waiting(0.55)
    robin.get(page(first))
    assert kim.get(NEXT)["Location"] == page(second)
    kim.get(page(second))
    lou = member("support", "lou")
    assert "Somebody else is looking at what is left" in lou.get(NEXT, follow=True).content.decode()


# --- The list -----------------------------------------------------------------------------------------


def test_the_queue_is_narrowed_down_and_worked_through_so(robin: Client) -> None:
    tie = waiting(0.51, "a tie")
    down = waiting(0.95, "thumbs", rating="down")
    html = robin.get(LIST, {"reason": "near_tie"}).content.decode()
    assert ">a tie<" in html
    assert ">thumbs<" not in html
    link = re.search(rf'href="{page(tie)}\?([^"]*)"', html)
    assert link
    assert "reason=near_tie" in link[1]
    assert "Start reviewing these" in html
    assert robin.get(NEXT + "?reason=thumbs_down")["Location"] == page(down) + "?reason=thumbs_down"
    done = robin.post(page(down) + "?reason=thumbs_down", {"decision": "refund", "seen_version": 0}, follow=True)
    assert "Nothing more waits with this filter" in done.content.decode()
    for query, found in (
        ({"intent": "refund"}, 1),
        ({"intent": "none"}, 0),
        ({"later": "yes"}, 0),
        ({"later": "no"}, 1),
    ):
        assert len(robin.get(LIST, query).context["cl"].result_list) == found
    assert len(robin.get(LIST, {"q": "TIE"}).context["cl"].result_list) == 1
    assert robin.get(LIST, {"reason": "nonsense"}).status_code == 200


def test_a_page_of_the_queue_costs_the_same_for_many_as_for_one(robin: Client) -> None:
    def queries(address: str) -> int:
        robin.get(address)
        with CaptureQueriesContext(connection) as captured:
            robin.get(address)
        return len(captured)

    turn = waiting()
    one = queries(LIST), queries(page(turn))
    for _ in range(20):
        waiting()
    assert (queries(LIST), queries(page(turn))) == one
    assert max(one) <= 25


def test_hostile_text_stays_text(robin: Client, kim: Client) -> None:
    turn = waiting(question=HOSTILE, reason=HOSTILE, rating="down")
    Message.objects.filter(turn=turn).update(text=HOSTILE)
    Intent.objects.update(name=HOSTILE)
    pages = [robin.get(address).content.decode() for address in (LIST, page(turn))]
    judge(kim, turn, note=HOSTILE, verdict="edited", edited_reply="x" + HOSTILE)
    pages.append(judge(robin, turn, note=HOSTILE, verdict="edited", edited_reply="y" + HOSTILE).content.decode())
    pages.append(robin.get(page(turn)).content.decode())
    for html in pages:
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert not re.search(r"<style|<[^>]+\sstyle=", html)
        assert not re.search(r"<[^>]+\son\w+\s*=", html)


# --- Many together ------------------------------------------------------------------------------------


def chosen(client: Client, address: str, action: str, pks: list[Any], **more: str) -> Any:
    return client.post(address, {"action": action, "_selected_action": [str(pk) for pk in pks], **more})


def test_selected_turns_are_accepted_after_a_question_that_counts(robin: Client) -> None:
    good, judged = waiting(), waiting()
    miss = waiting(is_miss=True)
    items = list(ReviewItem.objects.values_list("pk", flat=True))
    asked = chosen(robin, LIST, "accept_selected", items)
    assert "Intent and reply of 2 turns are confirmed" in asked.content.decode()
    assert "1 turn is left alone" in asked.content.decode()
    assert not Review.objects.exists()
    judge(robin, judged, verdict="rejected")
    answer = chosen(robin, LIST, "accept_selected", items, confirmed="yes")
    assert answer.status_code == 302
    assert "Accepted 1 turn." in robin.get(LIST).content.decode()
    assert Review.objects.get(turn=good).verdict == "accepted"
    assert Review.objects.get(turn=judged).verdict == "rejected"
    assert not Review.objects.filter(turn=miss).exists()
    nothing = chosen(robin, TURNS, "accept_selected", [good.pk, judged.pk]).content.decode()
    assert "There is nothing to be done." in nothing
    assert "2 turns are left alone" in nothing


def test_selected_conversations_are_excluded_and_included_after_a_question_that_counts(robin: Client) -> None:
    turns = [waiting() for _ in range(3)]
    pks = [turn.conversation_id for turn in turns]
    Conversation.objects.filter(pk=pks[0]).update(excluded_from_training=True)
    asked = chosen(robin, CONVERSATIONS, "exclude_selected", pks).content.decode()
    assert "Nothing is learnt from 2 conversations" in asked
    assert "1 conversation is left alone: excluded already." in asked
    chosen(robin, CONVERSATIONS, "exclude_selected", pks, confirmed="yes")
    assert Conversation.objects.filter(excluded_from_training=True).count() == 3
    assert LogEntry.objects.filter(changes={"excluded_from_training": ["False", "True"]}).count() == 2
    assert (
        "3 conversations may be learnt from again"
        in chosen(robin, CONVERSATIONS, "include_selected", pks).content.decode()
    )
    chosen(robin, CONVERSATIONS, "include_selected", pks, confirmed="yes")
    assert not Conversation.objects.filter(excluded_from_training=True).exists()
    triage_due()
    items = list(ReviewItem.objects.values_list("pk", flat=True))
    chosen(robin, LIST, "put_off_selected", items)
    assert set(ReviewItem.objects.values_list("skips", flat=True)) == {1}
    chosen(robin, LIST, "exclude_selected", items, confirmed="yes")
    assert not ReviewItem.objects.exists()


def test_the_transcript_leads_to_reviews_and_excludes_the_conversation(robin: Client) -> None:
    turn = waiting()
    transcript = f"{CONVERSATIONS}{turn.conversation_id}/change/"
    assert f'href="{page(turn)}"' in robin.get(transcript).content.decode()
    address = f"{CONVERSATIONS}{turn.conversation_id}/training/"
    html = robin.post(address, {"excluded": "yes"}, follow=True).content.decode()
    assert "Excluded by a reviewer" in html
    assert "Include in training again" in html
    assert "May be used" in robin.post(address, {"excluded": "no"}, follow=True).content.decode()
    judge(robin, turn, verdict="accepted")
    assert "Change the review" in robin.get(transcript).content.decode()


def test_asking_why_leads_back_to_where_it_was_asked(robin: Client) -> None:
    turn = waiting()
    address = f"{CONVERSATIONS}{turn.conversation_id}/explain/"
    for back in (page(turn) + "?reason=near_tie", "https://evil.example/admin/", "//evil.example", "/dashboard/"):
        answer = robin.post(address, {"turn": str(turn.pk), "back": back})
        safe = back if back.startswith(LIST) else f"{CONVERSATIONS}{turn.conversation_id}/change/"
        assert answer["Location"] == f"{safe}#why-{turn.pk}"


def test_a_claim_lapses(robin: Client, kim: Client) -> None:
    turn = waiting()
    robin.get(page(turn))
    ReviewItem.objects.update(claimed_at=timezone.now() - timedelta(minutes=6))
    assert "robin opened this" not in kim.get(page(turn)).content.decode()
