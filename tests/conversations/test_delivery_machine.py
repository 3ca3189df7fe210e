"""The delivery protocol under random sends, duplicates, reconnects, worker deaths, stops, retries and hand-overs.

Whatever the order, and whichever announcements are lost to a page that was away: every accepted message is stored once,
every turn ends once with at most one reply, and a page's state plus the events it heard equals a fresh snapshot.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.test import TransactionTestCase
from hypothesis import HealthCheck, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from chatbot.conversations import delivery, protocol, selectors, services
from chatbot.conversations.delivery import Reply
from chatbot.conversations.models import Conversation, Message, Turn
from chatbot.conversations.publisher import publisher
from chatbot.exceptions import Busy, Conflict, LeaseLost

from .browser import Browser
from .conftest import expire_lease


@contextmanager
def heard_by(browsers: list[Browser]) -> Iterator[None]:
    """Deliver what is published to the given pages at once, instead of through the broker."""
    send = publisher.send

    def deliver(group: str, message: Any) -> None:
        if message["type"] != "conversation.event":
            return  # for the inbox, of which a customer's page hears nothing
        for browser in browsers:
            browser.apply(message["frame"])

    publisher.send = deliver  # type: ignore[method-assign]
    try:
        yield
    finally:
        publisher.send = send  # type: ignore[method-assign]


class DeliveryMachine(RuleBasedStateMachine):
    """Two pages of one visitor, some workers, and a clock that can run out on any of them."""

    claims: Bundle[Turn] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.visitor = uuid.uuid4()
        self.conversation = services.start_conversation(visitor_id=self.visitor)
        self.pages = [Browser(), Browser()]
        self.online = list(self.pages)
        self.sent: dict[str, str] = {}
        for page in self.pages:
            page.apply(self.ready())

    def ready(self, after_seq: int = 0) -> dict[str, Any]:
        snapshot = selectors.snapshot(Conversation.objects.get(pk=self.conversation.pk), after_seq=after_seq)
        return {"type": "ready", "protocol": protocol.VERSION, **snapshot}

    # --- The customer ---------------------------------------------------------------------------

    @rule(
        number=st.integers(0, 6),
        text=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=8),
    )
    def send(self, number: int, text: str) -> None:
        client_id = f"c-{number}"
        with heard_by(self.online):
            try:
                accepted = services.send_message(
                    visitor_id=self.visitor, conversation_id=self.conversation.id, client_id=client_id, text=text
                )
            except Busy:
                return
        assert accepted.message.text == self.sent.setdefault(client_id, text), "the first send is the one that counts"

    @rule()
    def stop(self) -> None:
        turn = Turn.objects.filter(conversation=self.conversation, status__in=Turn.OPEN).first()
        if turn is not None:
            with heard_by(self.online):
                services.cancel_turn(visitor_id=self.visitor, turn_id=turn.id)

    @rule()
    def retry(self) -> None:
        turn = Turn.objects.filter(conversation=self.conversation).order_by("-number").first()
        if turn is not None:
            with heard_by(self.online):
                try:
                    services.retry_turn(visitor_id=self.visitor, turn_id=turn.id)
                except (Conflict, Busy) as refusal:
                    note(str(refusal))

    @rule(rating=st.sampled_from(["up", "down", None]))
    def rate(self, rating: str | None) -> None:
        reply = Message.objects.filter(conversation=self.conversation, role="bot").order_by("-seq").first()
        if reply is not None:
            with heard_by(self.online):
                services.rate_message(visitor_id=self.visitor, message_id=reply.id, rating=rating)

    @rule(back=st.booleans())
    def ask_for_a_person_or_go_back(self, back: bool) -> None:
        act = services.return_to_bot if back else services.request_handoff
        with heard_by(self.online):
            try:
                act(visitor_id=self.visitor, conversation_id=self.conversation.id)
            except Conflict as refusal:
                note(str(refusal))

    # --- The network ----------------------------------------------------------------------------

    @rule(which=st.integers(0, 1))
    def go_away(self, which: int) -> None:
        page = self.pages[which]
        self.online = [other for other in self.online if other is not page]

    @rule(which=st.integers(0, 1), from_scratch=st.booleans())
    def come_back(self, which: int, from_scratch: bool) -> None:
        if from_scratch:
            self.pages[which] = Browser()
            self.online = [page for page in self.online if page in self.pages]
        page = self.pages[which]
        self.online = [other for other in self.online if other is not page] + [page]
        seen = max((message["seq"] for message in page.messages.values()), default=0)
        page.apply(self.ready(after_seq=seen))

    # --- Workers --------------------------------------------------------------------------------

    @rule(target=claims, owner=st.sampled_from(["a", "b"]))
    def claim(self, owner: str) -> Any:
        turn = Turn.objects.filter(conversation=self.conversation, status__in=Turn.OPEN).order_by("number").first()
        if turn is None:
            return None
        with heard_by(self.online):
            return delivery.claim_turn(turn_id=turn.id, owner=owner)

    @rule(turn=consumes(claims), outcome=st.sampled_from(["finish", "hand over", "stop", "fail", "release", "die"]))
    def end_attempt(self, turn: Turn | None, outcome: str) -> None:
        if turn is None:
            return
        with heard_by(self.online):
            try:
                match outcome:
                    case "finish" | "hand over":
                        reply = Reply(text=f"{turn.id} {turn.attempt}", hands_over=outcome == "hand over")
                        delivery.finish_turn(turn=turn, reply=reply)
                    case "stop":
                        delivery.finish_cancelled_turn(turn=turn, text="half an ans", record={})
                    case "fail":
                        delivery.fail_turn(turn=turn, code="engine")
                    case "release":
                        delivery.release_turn(turn=turn)
                    case "die":
                        expire_lease(turn)
            except LeaseLost as loss:
                note(str(loss))

    @rule(turn=claims)
    def clock_runs_out(self, turn: Turn | None) -> None:
        if turn is not None:
            expire_lease(turn)

    @rule()
    def sweep(self) -> None:
        with heard_by(self.online):
            delivery.requeue_expired_turns()
            delivery.take_overdue_nudges()

    # --- What always holds ----------------------------------------------------------------------

    @invariant()
    def every_accepted_message_is_stored_once_and_in_order(self) -> None:
        stored = Message.objects.filter(conversation=self.conversation)
        assert list(stored.order_by("seq").values_list("seq", flat=True)) == list(range(1, stored.count() + 1))
        customers = stored.filter(role="customer").values_list("client_id", "text")
        assert dict(customers) == self.sent
        assert len(customers) == len(self.sent)

    @invariant()
    def a_turn_has_at_most_one_reply_and_a_done_one_exactly_one(self) -> None:
        turns = Turn.objects.filter(conversation=self.conversation).annotate(replies=Count("reply"))
        for turn in turns:
            assert turn.replies <= 1
            assert turn.replies == 1 or turn.status != Turn.Status.DONE
            assert turn.replies == 0 or turn.status in (Turn.Status.DONE, Turn.Status.CANCELLED)
            assert turn.attempt <= settings.TURN_MAX_ATTEMPTS

    @invariant()
    def what_a_page_shows_equals_a_fresh_snapshot(self) -> None:
        fresh = Browser()
        fresh.apply(self.ready())
        for page in self.online:
            status, messages = page.shown()
            fresh_status, fresh_messages = fresh.shown()
            assert status == fresh_status
            assert messages == fresh_messages

    def teardown(self) -> None:
        """Left alone with a sweeper and one honest worker, everything that is owed comes to its end."""
        for _ in range(100):
            open_turns = Turn.objects.filter(conversation=self.conversation, status__in=Turn.OPEN)
            if not open_turns.exists():
                break
            for turn in open_turns.filter(status=Turn.Status.RUNNING):
                expire_lease(turn)
            delivery.requeue_expired_turns()
            for turn in open_turns.order_by("number"):
                mine = delivery.claim_turn(turn_id=turn.id, owner="honest")
                if mine is not None:
                    delivery.finish_turn(turn=mine, reply=Reply(text="answer"))
        assert not Turn.objects.filter(conversation=self.conversation, status__in=Turn.OPEN).exists()
        self.every_accepted_message_is_stored_once_and_in_order()
        self.a_turn_has_at_most_one_reply_and_a_done_one_exactly_one()


class TestDelivery(TransactionTestCase):
    """Committed for real, so that what is published on commit is published."""

    def test_random_histories(self) -> None:
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            DeliveryMachine,
            settings=hypothesis_settings(
                max_examples=40,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
