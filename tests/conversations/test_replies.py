"""How a turn is answered, with a real engine, a real database and a real broker; only the model is a tiny one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from chatbot.conversations import delivery, presence, replies, services, wording
from chatbot.conversations.claims import claim_oldest_turn
from chatbot.conversations.desk import suggestions
from chatbot.conversations.leases import ActiveTurn
from chatbot.conversations.models import Attachment, Conversation, Message, Suggestion, Turn
from chatbot.conversations.presence import engines_in_use, live_workers
from chatbot.conversations.publisher import ReplyWriter
from chatbot.conversations.translations import translated
from chatbot.conversations.worker import ReplyWorker, release_abandoned_turns
from chatbot.exceptions import EngineError
from chatbot.inference.classifier import IntentClassifier
from chatbot.inference.engines import Engine, load_engine, openai
from chatbot.inference.out_of_scope import Geometry, OutOfScopeRule, ScorePart
from chatbot.inference.prompt import Utterance
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.text_classifier import TextClassifier
from chatbot.intents.models import Intent
from chatbot.knowledge.models import Article, Passage
from chatbot.releases.models import Kind, Release
from chatbot.releases.runtime import ServedModels, ServingNotes
from chatbot.releases.selectors import ReleaseInfo
from tests.inference.scripted_server import Exchange, ScriptedServer, refuse, reply
from tests.inference.tiny import make_tiny_model

pytestmark = pytest.mark.django_db(transaction=True)

TOPICS = ("cancel", "warranty", "person")
# One dimension a topic, and one for everything that is none of them.
DIMENSION = len(TOPICS) + 1


class TopicEncoder:
    """Embeds a text by the topics it names; a stand-in for weights, with the encoder's interface."""

    digest = "topics"
    dimension = DIMENSION

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:-1] = [topic in text.casefold() for topic in TOPICS]
            if not row.any():
                row[-1] = 1
            row /= np.linalg.norm(row)
        return rows


class TunedTopicEncoder(TopicEncoder):
    """A release's own encoder: it tells the same topics apart, in a space where no passage lies."""

    digest = "tuned topics"

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        return -super().encode(texts, batch_size)


def topic_classifier() -> IntentClassifier:
    directions = np.eye(len(TOPICS), DIMENSION, dtype=np.float32)
    return IntentClassifier(
        intents=TOPICS,
        weights=directions * 8,
        bias=np.zeros(len(TOPICS), dtype=np.float32),
        geometry=Geometry(directions),
        temperature=1.0,
        out_of_scope=OutOfScopeRule((ScorePart("distance"),), threshold=0.5),
        encoder_digest="topics",
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = load_engine(model_dir=make_tiny_model(tmp_path_factory.mktemp("tiny")), max_streams=4, kv_cache_mib=32)
    yield engine
    engine.close()


@pytest.fixture
def models(engine: Engine, transactional_db: None) -> ServedModels:
    def release(kind: Kind) -> ReleaseInfo:
        row = Release.objects.create(kind=kind, name=f"{kind}-0001", path="nowhere", manifest_digest="0" * 64)
        return ReleaseInfo(row.pk, row.name)

    Intent.objects.create(slug="cancel", name="Cancel an order", question="How can I cancel?", guidance="Be brief.")
    Intent.objects.create(
        slug="warranty",
        name="Warranty",
        question="What is the warranty?",
        mode="approved",
        approved_answer="**2 years.**",
    )
    Intent.objects.create(slug="person", name="A person", question="May I have a person?", mode="handoff")
    article = Article.objects.create(slug="cancel", title="Cancel an order", body="## How\n\nOpen Account.")
    embedding = TopicEncoder().encode(["cancel"])[0]
    Passage.objects.create(
        article=article,
        position=0,
        heading="How",
        anchor="how",
        text="Open Account, then Orders, then Cancel.",
        embedding=embedding.tobytes(),
        encoder_digest="topics",
    )
    return ServedModels(
        encoder=TopicEncoder(),  # type: ignore[arg-type]
        classifier=TextClassifier(topic_classifier(), TopicEncoder()),
        classifier_release=release(Kind.CLASSIFIER),
        engine=engine,
        generator_release=release(Kind.GENERATOR),
    )


@dataclass
class Customer:
    """Writes, and has every turn answered."""

    models: ServedModels
    conversation: Conversation

    def send(self, text: str, *attachments: uuid.UUID) -> Turn:
        """The turn that is owed an answer, with nobody at it yet."""
        accepted = services.send_message(
            visitor_id=self.conversation.visitor_id,
            conversation_id=self.conversation.id,
            client_id=uuid.uuid4().hex,
            text=text,
            attachments=attachments,
        )
        assert accepted.turn is not None
        return accepted.turn

    def claim(self, text: str, *attachments: uuid.UUID) -> Turn:
        turn = delivery.claim_turn(turn_id=self.send(text, *attachments).id, owner="worker")
        assert turn is not None
        return turn

    def ask(self, text: str, *attachments: uuid.UUID) -> Message:
        turn = self.claim(text, *attachments)
        replies.answer_turn(turn, ActiveTurn(turn), self.models)
        return Message.objects.select_related("turn__intent").get(turn=turn)


@pytest.fixture
def customer(models: ServedModels) -> Customer:
    return Customer(models, services.start_conversation(visitor_id=uuid.uuid4()))


def answered(reply: Message) -> Turn:
    assert reply.turn is not None
    return reply.turn


def test_the_model_writes_and_the_turn_remembers_how(customer: Customer, published: list[dict[str, Any]]) -> None:
    turn = answered(customer.ask("I want to cancel"))
    assert (turn.status, turn.action, turn.is_miss) == ("done", "generate", False)
    assert turn.intent is not None
    assert turn.intent.slug == "cancel"
    assert turn.confidence is not None
    assert turn.confidence > 0.9
    assert turn.prediction["ranking"][0][0] == "cancel"
    assert turn.sources[0]["url"] == "/help/cancel/#how"
    assert turn.sources[0]["passage"] == "Open Account, then Orders, then Cancel."
    assert (turn.classifier_id, turn.generator_id) == (
        customer.models.classifier_release.id,
        customer.models.generator_release.id,
    )
    assert turn.finish_reason in {"stop", "length", "repetition"}
    assert [frame["type"] for frame in published] == ["message.accepted", "turn.started", "reply.finished"]
    finished = published[-1]["message"]
    assert finished["sources"][0]["title"] == "Cancel an order: How"
    assert finished["intent"] == "Cancel an order"


def test_the_turn_keeps_what_its_answer_took(customer: Customer) -> None:
    turn = answered(customer.ask("I want to cancel"))
    taken = turn.timings
    stages = {"queued", "classify", "retrieve", "customer_wait", "first_token", "generate"}
    speeds = {"chunk_gap_p50", "chunk_gap_p95", "tokens_per_second"}
    counts = {"prompt_tokens", "completion_tokens", "dropped_turns"}
    # Nobody stopped it, and OpenVINO does not tell what its cache held: neither is stored as zero.
    assert set(taken) == stages | speeds | counts
    assert min(taken[name] for name in ("tokens_per_second", "completion_tokens", "prompt_tokens")) > 0
    # The tiny model's chunks may come together: a gap of less than half a tenth of a millisecond is stored as none.
    assert 0 <= taken["chunk_gap_p50"] <= taken["chunk_gap_p95"] <= taken["generate"]
    # Each of them is rounded.
    assert taken["queued"] + taken["classify"] + taken["first_token"] <= taken["customer_wait"] + 0.001
    assert turn.finished_at is not None
    assert taken["customer_wait"] <= (turn.finished_at - turn.created_at).total_seconds()


def test_a_reply_without_the_model_has_no_figures_of_it(customer: Customer) -> None:
    turn = answered(customer.ask("what about the warranty"))
    assert set(turn.timings) == {"queued", "classify"}


def test_a_wait_is_never_negative_however_the_clocks_of_two_machines_differ(customer: Customer) -> None:
    turn = customer.claim("what about the warranty")
    turn.created_at += timedelta(minutes=1)
    replies.answer_turn(turn, ActiveTurn(turn), customer.models)
    turn.refresh_from_db()
    assert turn.timings["queued"] == 0.0


def test_passages_are_found_by_the_base_encoder_where_the_classifier_has_one_of_its_own(customer: Customer) -> None:
    head, directions = topic_classifier(), -np.eye(len(TOPICS), DIMENSION, dtype=np.float32)
    tuned = replace(head, weights=8 * directions, geometry=Geometry(directions), tuned_digest="tuned topics")
    customer.models = replace(
        customer.models, classifier=TextClassifier(tuned, customer.models.encoder, TunedTopicEncoder())
    )
    turn = answered(customer.ask("cancel it please"))
    assert turn.prediction["ranking"][0][0] == "cancel"
    assert turn.sources[0]["url"] == "/help/cancel/#how"


def test_an_approved_answer_is_sent_as_it_stands_and_no_model_is_named(customer: Customer) -> None:
    reply = customer.ask("what about the warranty")
    assert reply.text == "**2 years.**"
    assert answered(reply).action == "answer"
    assert answered(reply).generator_id is None


def test_a_miss_asks_and_the_second_offers_a_person_who_is_called_by_the_quick_reply(customer: Customer) -> None:
    first = customer.ask("xyzzy")
    assert first.text == wording.OUT_OF_SCOPE
    assert len(first.quick_replies) == 3
    second = customer.ask("plugh")
    assert (second.text, second.quick_replies) == (wording.OFFER_A_PERSON, [wording.TALK_TO_A_PERSON])
    third = customer.ask(wording.TALK_TO_A_PERSON)
    assert third.text == wording.HANDED_OVER
    customer.conversation.refresh_from_db()
    assert customer.conversation.status == "waiting"


def test_who_writes_in_another_language_is_told_so_in_it_once_and_offered_a_person(customer: Customer) -> None:
    first = customer.ask("Wie kann ich meine Bestellung wieder stornieren, bitte?")
    offer = translated(wording.TALK_TO_A_PERSON, "de")
    assert (first.text, first.quick_replies) == (translated(wording.ONLY_ENGLISH, "de"), [offer])
    assert answered(first).message.language == "de"
    again = customer.ask("Ich möchte bitte meine Bestellung stornieren")
    assert again.text != first.text
    assert customer.ask(offer).text.startswith(translated(wording.HANDED_OVER, "de")[:40])


def sent_file(conversation: Conversation) -> uuid.UUID:
    """An upload that can be sent; the bot never looks at its bytes."""
    return Attachment.objects.create(
        conversation=conversation,
        kind="pdf",
        name="Ada.pdf",
        media_type="application/pdf",
        size=1,
        stored=uuid.uuid4().hex,
    ).pk


def test_files_alone_are_said_to_be_unreadable_and_a_person_is_offered(customer: Customer) -> None:
    customer.ask("xyzzy")
    reply = customer.ask("", sent_file(customer.conversation))
    assert (reply.text, reply.quick_replies) == (wording.CANNOT_READ, [wording.TALK_TO_A_PERSON])
    turn = answered(reply)
    assert (turn.action, turn.is_miss, turn.classifier_id, turn.intent) == ("clarify", False, None, None)
    assert customer.ask(wording.TALK_TO_A_PERSON).text == wording.HANDED_OVER


def test_a_text_with_files_is_answered_as_the_text(customer: Customer) -> None:
    customer.ask("", sent_file(customer.conversation))
    reply = customer.ask("what about the warranty", sent_file(customer.conversation))
    assert reply.text == "**2 years.**"
    assert answered(customer.ask("I want to cancel")).action == "generate"


def test_a_quick_reply_is_answered_as_what_it_offers(customer: Customer) -> None:
    offered = customer.ask("xyzzy").quick_replies
    assert "How can I cancel?" in offered
    turn = answered(customer.ask("How can I cancel?"))
    assert turn.action == "generate"
    assert "chose" in turn.reason


def test_without_a_passage_that_is_close_enough_the_bot_does_not_guess(customer: Customer) -> None:
    Passage.objects.all().delete()
    reply = customer.ask("I want to cancel")
    assert reply.text == wording.NO_SOURCE
    assert answered(reply).is_miss
    assert answered(reply).generator_id is None


def test_stop_keeps_what_the_model_had_written(customer: Customer) -> None:
    turn = customer.claim("please cancel")
    active = ActiveTurn(turn)
    attach = active.attach

    def attach_and_stop(generation: Any) -> None:
        attach(generation)
        active.stop()

    active.attach = attach_and_stop  # type: ignore[method-assign]
    replies.answer_turn(turn, active, customer.models)
    turn.refresh_from_db()
    assert (turn.status, turn.finish_reason) == ("cancelled", "cancelled")


def test_how_long_a_stop_took_counts_from_the_customers_first_wish(customer: Customer) -> None:
    turn = customer.claim("please cancel")
    stop = {"visitor_id": customer.conversation.visitor_id, "turn_id": turn.id}
    services.cancel_turn(**stop)
    asked_at = timezone.now() - timedelta(seconds=3)
    Turn.objects.filter(pk=turn.pk).update(cancel_requested_at=asked_at)
    services.cancel_turn(**stop)
    active = ActiveTurn(turn)
    active.stop()
    replies.answer_turn(turn, active, customer.models)
    turn.refresh_from_db()
    assert turn.status == "cancelled"
    assert turn.finished_at is not None
    assert 3 <= turn.timings["cancel"] <= (turn.finished_at - asked_at).total_seconds()


def test_a_hand_over_that_was_stopped_promises_nothing(customer: Customer) -> None:
    turn = customer.claim("I want a person")
    active = ActiveTurn(turn)
    active.stop()
    replies.answer_turn(turn, active, customer.models)
    turn.refresh_from_db()
    customer.conversation.refresh_from_db()
    assert (turn.status, customer.conversation.status) == ("cancelled", "bot")
    assert not customer.conversation.messages.filter(role="bot").exists()


def test_a_worker_that_is_told_to_leave_hands_its_turns_on_whole(
    customer: Customer, worker: ReplyWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = replies._stream

    def stream_until_told_to_leave(prompt: Any, turn: Turn, active: ActiveTurn, *rest: Any) -> replies.Draft:
        attach = active.attach

        def attach_and_leave(generation: Any) -> None:
            attach(generation)
            worker._release_all()

        active.attach = attach_and_leave  # type: ignore[method-assign]
        return stream(prompt, turn, active, *rest)

    monkeypatch.setattr(replies, "_stream", stream_until_told_to_leave)
    turn = customer.send("cancel")
    worker.take(turn.id)
    turn.refresh_from_db()
    assert turn.status == "queued"
    assert not customer.conversation.messages.filter(role="bot").exists()
    monkeypatch.setattr(replies, "_stream", stream)
    worker.take(turn.id)
    assert customer.conversation.messages.filter(role="bot").count() == 1


def test_a_fresh_worker_frees_the_turns_of_one_that_is_gone_but_not_of_one_that_lives(
    customer: Customer, worker: ReplyWorker
) -> None:
    space, own_pid, _ = worker.id.split(":")
    turn = customer.claim("cancel")
    for owner, is_freed in (
        (f"{space}:{os.getppid()}:living", False),
        (f"elsewhere:{2**22}:unknown", False),
        (f"{space}:{own_pid}:predecessor", True),
        (f"{space}:{2**22}:dead", True),  # Linux gives no process a number this high
    ):
        Turn.objects.filter(pk=turn.pk).update(status="running", lease_owner=owner)
        assert release_abandoned_turns(worker.id) == is_freed
        turn.refresh_from_db()
        assert (turn.status == "queued") == is_freed


def test_the_language_of_the_message_is_noted(customer: Customer) -> None:
    customer.ask("Ich möchte bitte meine Bestellung stornieren (cancel), wie geht das?")
    customer.conversation.refresh_from_db()
    assert customer.conversation.language == "de"


class OneSnapshot:
    """A runtime that has loaded its models already."""

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def models(self) -> ServedModels:
        return self._models

    def refresh(self) -> bool:
        return False

    def notes(self) -> ServingNotes:
        return ServingNotes(refused={}, kept={})


@pytest.fixture
def worker(models: ServedModels) -> ReplyWorker:
    return ReplyWorker(OneSnapshot(models))  # type: ignore[arg-type]


def test_a_worker_tells_with_its_heartbeat_how_busy_its_engine_is(worker: ReplyWorker, models: ServedModels) -> None:
    prompt = models.engine.prompts.build(system="", guidance="", passages=[], turns=[Utterance("user", "cancel")])
    with models.engine.submit(prompt, SamplingParams(max_tokens=1000)) as generation:
        next(generation)
        worker._on_beat()
    (engine,) = engines_in_use(live_workers())
    presence.withdraw(worker.id)
    assert (engine.engine, engine.running, engine.waiting) == (models.engine.name, 1, 0)
    assert engine.kv_use is not None
    assert 0 < engine.kv_use <= 1


def test_a_worker_answers_a_turn_once_however_often_it_is_told(customer: Customer, worker: ReplyWorker) -> None:
    turn = customer.send("cancel")
    for _ in range(3):
        worker.take(turn.id)
    assert customer.conversation.messages.filter(role="bot").count() == 1
    worker.take(uuid.uuid4())


def test_little_is_asked_of_the_database_before_the_model_begins(
    customer: Customer, worker: ReplyWorker, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    """Each query here is a customer's wait for the first word."""
    customer.ask("I want to cancel")  # what is asked once a process: the passages' embeddings
    customer.conversation = services.start_conversation(visitor_id=uuid.uuid4())
    turn = customer.send("how do I cancel my order?")
    Conversation.objects.filter(pk=customer.conversation.pk).update(language="en")

    class Begun(Exception):
        pass

    def begin(*_: Any) -> None:
        raise Begun

    monkeypatch.setattr(replies, "_stream", begin)
    # begin, which is oldest, claim it, read it, end; the catalogue, whether passages changed, the nearest of them.
    with django_assert_max_num_queries(10):
        mine = claim_oldest_turn(owner=worker.id)
        assert mine == turn
        with pytest.raises(Begun):
            replies.answer_turn(mine, ActiveTurn(mine), customer.models)


def test_an_engine_that_fails_costs_three_attempts_and_then_the_turn(
    customer: Customer, worker: ReplyWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise EngineError("out of memory")

    monkeypatch.setattr(replies, "_stream", fail)
    turn = customer.send("cancel")
    for attempt in (1, 2, 3):
        Turn.objects.filter(status="running").update(lease_expires_at=timezone.now())
        worker.take(turn.id)
        turn.refresh_from_db()
        assert turn.attempt == attempt
    assert (turn.status, turn.error_code) == ("failed", "engine")
    assert "memory" not in turn.error_detail


def test_a_fault_of_ours_ends_like_any_other(
    customer: Customer, worker: ReplyWorker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TURN_MAX_ATTEMPTS = 1

    def crash(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(replies, "_classify", crash)
    turn = customer.send("cancel")
    worker.take(turn.id)
    turn.refresh_from_db()
    assert (turn.status, turn.error_code) == ("failed", "internal")


# --- Replies that a model server writes ---------------------------------------------------------


@dataclass
class Afar:
    """A worker whose model is on a server."""

    server: ScriptedServer
    worker: ReplyWorker
    turn: Turn

    def take(self) -> Turn:
        self.worker.take(self.turn.id)
        self.turn.refresh_from_db()
        return self.turn


@pytest.fixture
def afar(request: pytest.FixtureRequest, customer: Customer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Afar]:
    monkeypatch.setattr(openai, "RETRY_GAPS_S", (0.0, 0.0))
    turn = customer.send(getattr(request, "param", "cancel"))
    with ScriptedServer().running() as server:
        engine = openai.OpenAIEngine(openai.ModelServer(base_url=server.base_url, model="m"), max_streams=2)
        models = replace(customer.models, engine=engine)
        yield Afar(server, ReplyWorker(OneSnapshot(models)), turn)  # type: ignore[arg-type]
        engine.close()


def test_a_server_writes_the_reply_from_the_article_and_its_release_is_named(afar: Afar) -> None:
    counts = {"prompt_tokens": 321, "completion_tokens": 4}
    afar.server.script(reply("Open Account,", " then Orders.", usage=counts))
    turn = afar.take()
    assert turn.status == "done"
    assert Message.objects.get(turn=turn).text == "Open Account, then Orders."
    assert turn.generator_id == afar.worker.runtime.models().generator_release.id
    assert counts.items() <= turn.timings.items()
    sent = afar.server.exchanges[0].body["messages"]
    assert sent[0]["role"] == "system"
    assert "Open Account, then Orders, then Cancel." in sent[-1]["content"]


@dataclass
class Guarded:
    """A reply of a scripted model about the article, as the customer saw it grow and as it was stored."""

    shown: str
    message: Message

    @property
    def fates(self) -> list[str]:
        return [sentence["fate"] for sentence in answered(self.message).groundedness.get("sentences", [])]


@pytest.fixture
def guarded(afar: Afar, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Guarded]:
    shown: list[str] = []
    write = ReplyWriter.write

    def written(writer: ReplyWriter, text: str) -> None:
        shown.append(text)
        write(writer, text)

    monkeypatch.setattr(ReplyWriter, "write", written)

    def answer(*pieces: str) -> Guarded:
        afar.server.script(reply(*pieces))
        return Guarded("".join(shown), Message.objects.select_related("turn").get(turn=afar.take()))

    return answer


def test_what_the_article_does_not_say_gives_way_to_its_own_words(guarded: Callable[..., Guarded]) -> None:
    told = guarded("Click the Cancel", " button within 30 days. ", "I hope this helps!")
    assert told.message.text == "Open Account, then Orders, then Cancel. I hope this helps!"
    assert told.message.text.startswith(told.shown.strip())
    assert told.fates == ["replaced", "kept"]
    [replaced, _] = answered(told.message).groundedness["sentences"]
    assert replaced["text"] == "Click the Cancel button within 30 days."
    assert ["duration", "30 days"] in replaced["reasons"]


def test_a_sentence_that_turns_wrong_half_way_is_finished_by_the_article(guarded: Callable[..., Guarded]) -> None:
    told = guarded("Open Account, then ", "Orders, then pay ", "the €20 fee.", " Done.")
    assert told.message.text.startswith("Open Account, then Orders, then Cancel.")
    assert told.message.text.startswith(told.shown.strip())
    assert "€" not in told.shown


@pytest.mark.parametrize("afar", ["can I cancel the insurance of my yacht in Rome"], indirect=True)
def test_where_nothing_is_left_the_bot_says_so_and_offers_a_person(guarded: Callable[..., Guarded]) -> None:
    told = guarded("Yes, the insurance ", "of your yacht ends after 22 days. ", "I hope this helps!")
    assert told.message.text == wording.NO_SOURCE
    assert told.message.quick_replies == [wording.TALK_TO_A_PERSON]
    assert (told.shown, told.fates) == ("", ["left out", "left out"])


def test_flagging_leaves_the_reply_alone(guarded: Callable[..., Guarded], settings: Settings) -> None:
    settings.GROUNDEDNESS = "flag"
    told = guarded("Our shop in Rome is open ", "until 22:00.")
    assert told.message.text == "Our shop in Rome is open until 22:00."
    assert told.fates == ["flagged"]


def test_switched_off_nothing_is_checked(guarded: Callable[..., Guarded], settings: Settings) -> None:
    settings.GROUNDEDNESS = "off"
    told = guarded("Our shop in Rome is open ", "until 22:00.")
    assert told.message.text == "Our shop in Rome is open until 22:00."
    assert told.fates == []


def test_a_server_that_goes_on_failing_costs_three_attempts_and_then_the_turn(afar: Afar) -> None:
    afar.server.script(refuse(500))
    for attempt in (1, 2, 3):
        assert afar.take().attempt == attempt
    assert (afar.turn.status, afar.turn.error_code) == ("failed", "engine")
    assert "server" not in afar.turn.error_detail
    assert len(afar.server.exchanges) == 9


def test_a_reply_that_broke_off_is_begun_anew_and_told_once(afar: Afar) -> None:
    def break_off(exchange: Exchange) -> None:
        exchange.begin()
        exchange.say("Open Acc")
        exchange.cut()

    afar.server.script(break_off, reply("Open Account."))
    assert afar.take().status == "queued"
    assert afar.take().status == "done"
    assert [message.text for message in Message.objects.filter(turn=afar.turn)] == ["Open Account."]


def test_a_worker_tells_with_its_heartbeat_that_its_server_is_gone(afar: Afar, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = "the model server cannot be reached (ConnectError)"
    monkeypatch.setattr(afar.worker.runtime.models().engine, "_problem", problem)
    afar.worker._on_beat()
    told = [worker["problem"] for worker in live_workers()]
    presence.withdraw(afar.worker.id)
    assert told == [problem]


# --- Drafts for agents ----------------------------------------------------------------------------


def drafted(customer: Customer, worker: ReplyWorker, text: str) -> Suggestion:
    """What the worker suggests to an agent who has to answer the text."""
    services.request_handoff(visitor_id=customer.conversation.visitor_id, conversation_id=customer.conversation.pk)
    services.send_message(
        visitor_id=customer.conversation.visitor_id,
        conversation_id=customer.conversation.pk,
        client_id="to-a-person",
        text=text,
    )
    agent = User.objects.create_user("kim")
    suggestion = suggestions.request_suggestion(conversation_id=customer.conversation.pk, agent=agent)
    worker.suggest(suggestion.pk)
    suggestion.refresh_from_db()
    return suggestion


def test_a_draft_is_written_stored_and_said_to_nobody(
    customer: Customer, worker: ReplyWorker, published: list[dict[str, Any]]
) -> None:
    suggestion = drafted(customer, worker, "cancel it please")
    assert (suggestion.status, bool(suggestion.text)) == ("done", True)
    assert suggestion.record["sources"][0]["url"] == "/help/cancel/#how"
    assert not customer.conversation.messages.filter(role="bot").exists()
    assert not customer.conversation.turns.exists()
    assert not [frame for frame in published if frame["type"].startswith(("reply", "turn", "conversation.delta"))]


def test_an_approved_answer_is_suggested_word_for_word(customer: Customer, worker: ReplyWorker) -> None:
    assert drafted(customer, worker, "what about the warranty").text == "**2 years.**"


def test_where_nothing_fits_nothing_is_suggested(customer: Customer, worker: ReplyWorker) -> None:
    suggestion = drafted(customer, worker, "xyzzy")
    assert (suggestion.status, suggestion.error) == ("failed", suggestions.NOTHING)
