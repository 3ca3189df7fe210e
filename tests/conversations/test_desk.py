"""What people at the desk do: taking, answering, giving away; what customers hear of it, and what they never do."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.utils import timezone

from chatbot.conversations import delivery, exports, selectors, services, standing, wording
from chatbot.conversations.delivery import Reply
from chatbot.conversations.desk import selectors as reads
from chatbot.conversations.desk import services as desk
from chatbot.conversations.desk import suggestions
from chatbot.conversations.desk.models import Suggestion, Transition
from chatbot.conversations.models import Conversation, Message, Review, Turn, Visitor
from chatbot.exceptions import Conflict, ConversationClosed, HandsChanged, InvalidAddress, LeaseLost, NotFound
from chatbot.operations.staff import sync_groups
from chatbot.sites.models import Site

Frames = list[dict[str, Any]]


def agent(name: str, *, first_name: str = "", group: str | None = "support") -> User:
    sync_groups()
    user = User.objects.create_user(name, first_name=first_name, is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    return user


@pytest.fixture
def kim(db: None) -> User:
    return agent("kim", first_name="Kim Min-jun")


@pytest.fixture
def sam(db: None) -> User:
    return agent("sam", first_name="Sam")


@pytest.fixture
def waiting(conversation: Conversation) -> Conversation:
    """A customer who has asked something, and then for a person."""
    ask(conversation, "Where is my parcel?")
    return handed_over(conversation)


def ask(conversation: Conversation, text: str = "hello") -> services.Accepted:
    return services.send_message(
        visitor_id=conversation.visitor_id, conversation_id=conversation.pk, client_id=uuid.uuid4().hex, text=text
    )


def handed_over(conversation: Conversation) -> Conversation:
    services.request_handoff(visitor_id=conversation.visitor_id, conversation_id=conversation.pk)
    conversation.refresh_from_db()
    return conversation


def answer(conversation: Conversation, author: User, text: str = "Hello", **fields: Any) -> Message:
    return desk.post_agent_message(conversation_id=conversation.pk, author=author, text=text, **fields)


def written(conversation: Conversation, role: str) -> list[str]:
    return list(conversation.messages.filter(role=role).values_list("text", flat=True))


# --- Taking and giving ----------------------------------------------------------------------------


def test_taking_is_told_by_first_name_and_kept(waiting: Conversation, kim: User) -> None:
    desk.take_conversation(conversation_id=waiting.pk, agent=kim, assignment=1)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.assignee, waiting.assignment) == ("human", kim, 2)
    assert written(waiting, "system")[-1] == "Kim has joined the conversation."
    taken = Transition.objects.get(move="take")
    assert (taken.from_status, taken.to_status, taken.actor, taken.assignee) == ("waiting", "human", kim, kim)
    assert LogEntry.objects.get(additional_data__move="take").actor == kim


def test_an_account_without_a_first_name_is_nobody_by_name(waiting: Conversation) -> None:
    desk.take_conversation(conversation_id=waiting.pk, agent=agent("secret-login"), assignment=1)
    assert written(waiting, "system")[-1] == f"{wording.SOMEBODY} has joined the conversation."
    assert "secret-login" not in json.dumps(selectors.snapshot(Conversation.objects.get()))


def test_a_colleagues_conversation_is_taken_over_only_where_that_is_said(
    waiting: Conversation, kim: User, sam: User
) -> None:
    desk.take_conversation(conversation_id=waiting.pk, agent=kim, assignment=1)
    with pytest.raises(HandsChanged, match="Kim"):
        desk.take_conversation(conversation_id=waiting.pk, agent=sam, assignment=1)
    with pytest.raises(HandsChanged, match="Kim"):
        desk.take_conversation(conversation_id=waiting.pk, agent=sam, assignment=2)
    desk.take_conversation(conversation_id=waiting.pk, agent=sam, assignment=2, take_over=True)
    waiting.refresh_from_db()
    assert waiting.assignee == sam
    assert Transition.objects.filter(move="take").latest("id").reason == "taken over from Kim Min-jun"


def test_a_text_is_refused_in_words_where_hands_have_changed(waiting: Conversation, kim: User, sam: User) -> None:
    desk.take_conversation(conversation_id=waiting.pk, agent=kim, assignment=1)
    desk.take_conversation(conversation_id=waiting.pk, agent=sam, assignment=2, take_over=True)
    with pytest.raises(HandsChanged, match=r"Sam has this conversation now\. Your text was not sent\."):
        answer(waiting, kim, assignment=2)
    assert written(waiting, "agent") == []
    answer(waiting, sam, assignment=3)
    assert written(waiting, "agent") == ["Hello"]


def test_answering_one_that_waits_takes_it_and_the_same_send_twice_is_one_message(
    waiting: Conversation, kim: User
) -> None:
    first = answer(waiting, kim, assignment=1, client_id="a-1")
    again = answer(waiting, kim, assignment=1, client_id="a-1")
    assert first == again
    waiting.refresh_from_db()
    assert (waiting.assignee, written(waiting, "agent")) == (kim, ["Hello"])


def test_giving_to_a_colleague_who_may_not_answer_is_refused(waiting: Conversation, kim: User, sam: User) -> None:
    outsider = agent("operator", group="operator")
    with pytest.raises(Conflict, match="may not answer"):
        desk.assign_conversation(conversation_id=waiting.pk, agent=kim, to=outsider, assignment=1)
    desk.assign_conversation(conversation_id=waiting.pk, agent=kim, to=sam, assignment=1)
    waiting.refresh_from_db()
    assert waiting.assignee == sam
    assert Transition.objects.get(move="take").actor == kim


def test_back_to_the_queue_to_the_bot_and_closed(waiting: Conversation, kim: User) -> None:
    desk.take_conversation(conversation_id=waiting.pk, agent=kim, assignment=1)
    desk.release_conversation(conversation_id=waiting.pk, agent=kim, assignment=2)
    assert standing.standing_of(Conversation.objects.get())["queue"]["place"] == 1
    with pytest.raises(Conflict):
        desk.release_conversation(conversation_id=waiting.pk, agent=kim, assignment=3)
    desk.return_to_bot(conversation_id=waiting.pk, agent=kim, assignment=3)
    assert ask(waiting, "and now?").turn is not None
    desk.close_conversation(conversation_id=waiting.pk, agent=kim)
    assert not Turn.objects.filter(status__in=Turn.OPEN).exists()
    with pytest.raises(ConversationClosed):
        answer(waiting, kim)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_at_the_same_moment_one_has_it(waiting: Conversation, kim: User, sam: User) -> None:
    outcomes: dict[str, str] = {}
    ready = threading.Barrier(2)

    def take(who: User) -> None:
        ready.wait()
        try:
            desk.take_conversation(conversation_id=waiting.pk, agent=who, assignment=1)
            outcomes[who.username] = "has it"
        except HandsChanged:
            outcomes[who.username] = "was told"
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=[who]) for who in (kim, sam)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes.values()) == ["has it", "was told"]


# --- The bot is silent ------------------------------------------------------------------------------


def test_a_reply_that_is_being_written_is_cancelled_and_nothing_of_it_is_stored(
    conversation: Conversation, published: Frames, django_capture_on_commit_callbacks: Any
) -> None:
    turn = ask(conversation).turn
    assert turn is not None
    claimed = delivery.claim_turn(turn_id=turn.pk, owner="worker")
    assert claimed is not None
    with django_capture_on_commit_callbacks(execute=True):
        handed_over(conversation)
    kinds = [frame["type"] for frame in published]
    assert kinds.index("conversation.updated") < kinds.index("turn.cancelled") < kinds.index("message.posted")
    # The worker had its whole answer in hand at that moment.
    with pytest.raises(LeaseLost):
        delivery.finish_turn(turn=claimed, reply=Reply(text="too late"))
    with pytest.raises(LeaseLost):
        delivery.finish_cancelled_turn(turn=claimed, text="half of it", record={})
    assert written(conversation, "bot") == []


@pytest.mark.django_db(transaction=True)
def test_hand_off_and_the_end_of_a_reply_at_the_same_moment(conversation: Conversation) -> None:
    """Whichever comes first: either the reply stands before the hand-off, or it is never shown."""
    for number in range(6):
        visitor = uuid.uuid4()
        race = services.start_conversation(visitor_id=visitor)
        turn = ask(race).turn
        assert turn is not None
        claimed = delivery.claim_turn(turn_id=turn.pk, owner="worker")
        assert claimed is not None
        ready = threading.Barrier(2)

        def finish(claimed: Turn = claimed, ready: threading.Barrier = ready) -> None:
            ready.wait()
            try:
                delivery.finish_turn(turn=claimed, reply=Reply(text="answer"))
            except LeaseLost:
                pass
            finally:
                connection.close()

        thread = threading.Thread(target=finish)
        thread.start()
        ready.wait()
        services.request_handoff(visitor_id=visitor, conversation_id=race.pk)
        thread.join()
        said = list(race.messages.order_by("seq").values_list("role", flat=True))
        assert said in (["customer", "bot", "system"], ["customer", "system"]), number
        assert not race.turns.filter(status__in=Turn.OPEN).exists()


# --- What the customer is told ----------------------------------------------------------------------


def test_everybody_behind_learns_their_new_place(
    kim: User, published: Frames, django_capture_on_commit_callbacks: Any
) -> None:
    queue = [services.start_conversation(visitor_id=uuid.uuid4()) for _ in range(3)]
    for conversation in queue:
        ask(conversation)
        handed_over(conversation)
    assert [standing.place_of(conversation) for conversation in queue] == [1, 2, 3]
    published.clear()
    with django_capture_on_commit_callbacks(execute=True):
        desk.take_conversation(conversation_id=queue[0].pk, agent=kim, assignment=1)
    places = {
        frame["conversation"]: frame["queue"]["place"]
        for frame in published
        if frame["type"] == "conversation.updated" and "queue" in frame
    }
    assert places == {str(queue[1].pk): 1, str(queue[2].pk): 2}


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "a b@example.com", "ada@example.com\nBcc: x@y.zz", "x" * 250 + "@a.bc"]
)
def test_what_is_no_address_is_refused_in_words(waiting: Conversation, email: str) -> None:
    with pytest.raises(InvalidAddress, match=r"such as name@example\.com"):
        services.leave_email(visitor_id=waiting.visitor_id, conversation_id=waiting.pk, email=email)


def test_an_address_is_kept_shown_to_staff_forgotten_on_request_and_erased_with_its_visitor(
    waiting: Conversation,
) -> None:
    def leave(email: str, visitor: uuid.UUID = waiting.visitor_id) -> None:
        services.leave_email(visitor_id=visitor, conversation_id=waiting.pk, email=email)

    leave("ada@example.com")
    assert reads.desk_rows()[0]["email"] == "ada@example.com"
    leave("")
    assert "email" not in reads.desk_rows()[0]
    with pytest.raises(NotFound):
        leave("eve@example.com", uuid.uuid4())
    leave("ada@example.com")
    waiting.visitor.delete()
    assert not Conversation.objects.filter(contact_email="ada@example.com").exists()


# --- Outside business hours -------------------------------------------------------------------------


def closed_site(key: str = "shop", **fields: Any) -> Site:
    """A site that opens tomorrow at nine."""
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%a").lower()
    return Site.objects.create(key=key, name="Shop", hours=f"{tomorrow} 09:00-18:00", **fields)


def test_outside_business_hours_the_customer_is_told_when_and_how_they_are_answered(
    conversation: Conversation,
) -> None:
    closed_site()
    ask(conversation)
    handed_over(conversation)
    said = written(conversation, "system")[-1]
    assert "we are back on" in said
    assert "at 09:00 (UTC)" in said
    assert "Leave your e-mail address" in said
    queue = standing.standing_of(conversation)["queue"]
    assert (queue["open"], queue["opens_at"][11:16]) == (False, "09:00")


@pytest.mark.parametrize(
    ("sites", "own", "is_open"),
    [
        ([], None, True),
        ([("one", True, True)], None, False),
        ([("one", True, True), ("two", True, True)], None, True),
        ([("one", True, True), ("two", False, True)], None, False),
        ([("one", True, True), ("two", True, False)], "two", True),
        ([("one", True, True), ("two", True, False)], "one", False),
    ],
)
def test_whose_hours_count(
    conversation: Conversation, sites: list[tuple[str, bool, bool]], own: str | None, is_open: bool
) -> None:
    """The visitor's own site's; of our own page the only active one's, else somebody is there."""
    for key, is_active, is_closed in sites:
        site = closed_site(key, is_active=is_active)
        if not is_closed:
            site.hours = ""
            site.save()
        if key == own:
            Visitor.objects.update(site=site)
    conversation = Conversation.objects.get(pk=conversation.pk)
    assert standing.opens_at(conversation, timezone.now())[0] == is_open


def test_a_change_of_the_queue_takes_few_queries_for_each_that_waits(
    kim: User, django_capture_on_commit_callbacks: Any, django_assert_max_num_queries: Any
) -> None:
    queue = [services.start_conversation(visitor_id=uuid.uuid4()) for _ in range(12)]
    for conversation in queue:
        ask(conversation)
        handed_over(conversation)
    with django_assert_max_num_queries(45), django_capture_on_commit_callbacks(execute=True):
        desk.take_conversation(conversation_id=queue[0].pk, agent=kim, assignment=1)


# --- Notes --------------------------------------------------------------------------------------


def test_notes_never_reach_the_customer(
    waiting: Conversation, kim: User, published: Frames, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        note = desk.add_note(conversation_id=waiting.pk, author=kim, text="SECRET", client_id="n-1")
    assert desk.add_note(conversation_id=waiting.pk, author=kim, text="SECRET", client_id="n-1") == note
    shown = (
        selectors.snapshot(waiting),
        selectors.earlier_messages(waiting, 99),
        selectors.own_conversations(waiting.visitor_id),
    )
    assert "SECRET" not in json.dumps(shown)
    # Told to the desk alone, whose group no customer's socket listens to.
    assert [frame["type"] for frame in published] == ["note.added"]
    thread = reads.thread_snapshot(waiting.pk)
    assert thread is not None
    assert [each["text"] for each in thread["notes"]] == ["SECRET"]


def test_exports_mark_notes_as_internal(waiting: Conversation, kim: User) -> None:
    desk.add_note(conversation_id=waiting.pk, author=kim, text="Called back.")
    document = json.loads("".join(exports.jsonl_chunks([waiting.pk])))
    assert [(note["text"], note["internal"]) for note in document["notes"]] == [("Called back.", True)]
    rows = "".join(exports.csv_chunks([waiting.pk])).splitlines()
    assert [row for row in rows if "Called back." in row and '"internal note"' in row]


# --- The bot's drafts ---------------------------------------------------------------------------


def drafted(conversation: Conversation, kim: User, text: str = "It is on its way.") -> Suggestion:
    suggestion = suggestions.request_suggestion(conversation_id=conversation.pk, agent=kim)
    suggestion.status, suggestion.text = Suggestion.Status.DONE, text
    suggestion.record = {"confidence": 0.8, "action": "generate", "sources": [], "intent_id": None}
    suggestion.save()
    return suggestion


@pytest.mark.parametrize(
    ("text", "verdict", "edited"),
    [("It is on its way.", "accepted", ""), ("It arrives on Monday.", "edited", "It arrives on Monday.")],
)
def test_sending_a_draft_reviews_it_and_the_customer_sees_an_agents_message(
    waiting: Conversation, kim: User, text: str, verdict: str, edited: str
) -> None:
    before = selectors.snapshot(waiting)
    suggestion = drafted(waiting, kim)
    message = answer(waiting, kim, text, assignment=1, suggestion_id=suggestion.pk)
    review = Review.objects.get()
    assert (review.verdict, review.edited_reply, review.reviewed_by) == (verdict, edited, kim)
    assert message.turn is not None
    assert (message.turn.message.text, message.turn.confidence) == ("Where is my parcel?", 0.8)
    payload = selectors.message_payload(message)
    assert (payload["role"], payload["author"]) == ("agent", "Kim")
    assert payload.keys() <= {"id", "seq", "role", "text", "created_at", "author"}
    # Of the turn behind it the customer's page knows nothing.
    assert selectors.snapshot(Conversation.objects.get())["messages"][:1] == before["messages"][:1]
    with pytest.raises(Conflict, match="sent already"):
        answer(waiting, kim, suggestion_id=suggestion.pk)


def test_a_draft_of_another_conversation_cannot_be_sent(waiting: Conversation, kim: User) -> None:
    suggestion = drafted(waiting, kim)
    other = services.start_conversation(visitor_id=uuid.uuid4())
    with pytest.raises(NotFound):
        answer(other, kim, suggestion_id=suggestion.pk)
    assert other.messages.count() == 0


def test_drafts_are_for_people_alone(conversation: Conversation, kim: User) -> None:
    ask(conversation)
    with pytest.raises(Conflict, match="No person"):
        suggestions.request_suggestion(conversation_id=conversation.pk, agent=kim)


# --- The list -----------------------------------------------------------------------------------


def test_unread_counts_what_the_customer_wrote_since_the_assignee_looked(
    waiting: Conversation, kim: User, sam: User
) -> None:
    answer(waiting, kim)
    assert reads.desk_rows()[0]["unread"] == 0
    ask(waiting, "thanks")
    ask(waiting, "one more thing")
    assert reads.desk_rows()[0]["unread"] == 2
    seq = Conversation.objects.get().last_seq
    desk.mark_seen(conversation_id=waiting.pk, agent=sam, seq=seq)
    assert reads.desk_rows()[0]["unread"] == 2, "a colleague who looks has not read it for Kim"
    desk.mark_seen(conversation_id=waiting.pk, agent=kim, seq=seq)
    assert reads.desk_rows()[0]["unread"] == 0


def test_the_list_takes_as_many_queries_for_many_as_for_one(
    waiting: Conversation, kim: User, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        reads.desk_rows()
    for _ in range(3):
        conversation = services.start_conversation(visitor_id=uuid.uuid4())
        ask(conversation)
        handed_over(conversation)
    with django_assert_num_queries(1):
        assert len(reads.desk_rows()) == 4
