"""How one turn is answered, from top to bottom: classify → decide → retrieve → prompt → stream → finish."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from chatbot.conversations import delivery, policy, selectors, services, wording
from chatbot.conversations.events import group_name
from chatbot.conversations.leases import ActiveTurn
from chatbot.conversations.models import Message, Turn
from chatbot.conversations.predictions import record_of
from chatbot.conversations.publisher import publisher
from chatbot.conversations.standing import handed_over
from chatbot.conversations.timings import Stopwatch
from chatbot.conversations.translations import all_forms, translated
from chatbot.exceptions import EngineError, LeaseLost
from chatbot.inference.groundedness import GroundednessGuard, Mode, Sources
from chatbot.inference.language import certain_language
from chatbot.inference.predictions import Prediction
from chatbot.inference.prompt import SYSTEM_TEMPLATE, GroundingPassage, Prompt, Utterance
from chatbot.inference.repetition import RepetitionFilter
from chatbot.inference.sampling import SamplingParams
from chatbot.intents.models import Intent
from chatbot.intents.selectors import IntentRule, catalogue_rules
from chatbot.intents.shop import load_shop
from chatbot.knowledge.retrieval import RetrievedPassage, retrieve

if TYPE_CHECKING:
    import numpy as np

    from chatbot.inference.encoder import Encoder
    from chatbot.inference.engines import Timings
    from chatbot.inference.text_classifier import Classification
    from chatbot.releases.runtime import ServedModels

logger = logging.getLogger(__name__)

# How many earlier messages the prompt is offered; its token budget decides how many go in.
HISTORY_MESSAGES = 8
# A retry asks for another answer, so it must be able to differ from the first.
RETRY_TEMPERATURE = 0.6
# For models that have more languages than the passages are written in.
ANSWER_THEIRS = " Answer in the language of the customer's question."
SUGGESTED = "suggested to an agent"
# A small model goes on writing the prompt's pattern when it has finished the answer.
NEXT_QUESTION = ("\nQuestion:", "\nHelp article:")


@dataclass(slots=True)
class Draft:
    """A reply before it is stored."""

    text: str = ""
    quick_replies: list[str] = field(default_factory=list)
    hands_over: bool = False
    finish_reason: str = "stop"
    groundedness: dict[str, Any] = field(default_factory=dict)


def answer_turn(turn: Turn, active: ActiveTurn, models: ServedModels) -> None:
    """Answer a claimed turn and store the reply.

    Raises:
        LeaseLost: another attempt has taken over; nothing was written.
        EngineError: the model could not go on; the turn is still held by this attempt.
    """
    watch = Stopwatch()
    watch.since("queued", turn.created_at)
    record: dict[str, Any] = {"timings": watch.measured}
    rules = catalogue_rules()
    earlier = selectors.history(turn, HISTORY_MESSAGES)

    with watch.stage("classify"):
        classification = _classify(turn, models)
    if classification is not None:
        record["classifier_id"] = models.classifier_release.id
    prediction = classification.prediction if classification else None
    history = _history(turn, earlier, rules)
    action = policy.decide(prediction, rules, history, turn.message.text, foreign=_foreign(turn.message))
    record |= _explained(prediction, action, rules)

    draft = _said(action, rules, turn)
    if isinstance(action, policy.Generate) and classification:
        with watch.stage("retrieve"):
            passages = _passages(classification, turn, rules[action.intent], models)
        record["sources"] = [_source(passage) for passage in passages]
        if passages:
            record["generator_id"] = models.generator_release.id
            prompt = _prompt(action, passages, earlier, turn, models)
            guard = _guard(action, passages, turn)
            writer = publisher.writer(group_name(turn.conversation_id), str(turn.id), turn.attempt)
            draft = _stream(prompt, turn, active, models, watch, guard, writer.write)
        else:
            draft = _offering(wording.NO_SOURCE, turn.message.language)
            record |= {"is_miss": True, "action": Turn.Action.CLARIFY, "reason": "no help article is close enough"}
    record |= {"finish_reason": draft.finish_reason, "groundedness": draft.groundedness}
    if active.stop_requested and (asked_at := selectors.cancellation_of(turn)):
        watch.since("cancel", asked_at)
    services.note_language(message=turn.message)
    _finish(turn, draft, active, record)


def draft_reply(message: Message, models: ServedModels) -> tuple[str, dict[str, Any]]:
    """What the bot would say to a message that a person answers, and what it rests on, as fields of Turn.

    Nobody hears of it. A person reads it first, so it is written for any message that is not out of scope, also where
    the bot itself would ask back or hand over. Empty where no help article is close enough.

    Raises EngineError where the model could not go on.
    """
    turn = Turn(conversation=message.conversation, message=message, created_at=timezone.now())
    rules = catalogue_rules()
    earlier = selectors.history(turn, HISTORY_MESSAGES)
    classification = _classify(turn, models)
    services.note_language(message=message)
    if classification is None:
        return "", {}
    prediction = classification.prediction
    known = [ranked.intent for ranked in prediction.ranking if ranked.intent in rules]
    if prediction.out_of_scope or not known:
        return "", {}
    rule = rules[known[0]]
    if rule.mode == "approved":
        approved = policy.Answer(rule.slug, rule.approved_answer, SUGGESTED)
        return approved.text, _decision(prediction, approved, rules, models)
    action = policy.Generate(rule.slug, rule.guidance, SUGGESTED)
    passages = _passages(classification, turn, rule, models)
    if not passages:
        return "", {}
    prompt, guard = _prompt(action, passages, earlier, turn, models), _guard(action, passages, turn)
    draft = _stream(prompt, turn, ActiveTurn(turn), models, Stopwatch(), guard, lambda _: None)
    record = _decision(prediction, action, rules, models) | {
        "generator_id": models.generator_release.id,
        "sources": [_source(passage) for passage in passages],
        "finish_reason": draft.finish_reason,
        "groundedness": draft.groundedness,
    }
    return ("" if guard.says_nothing else draft.text), record


def _decision(
    prediction: Prediction, action: policy.Action, rules: Mapping[str, IntentRule], models: ServedModels
) -> dict[str, Any]:
    return _explained(prediction, action, rules) | {"classifier_id": models.classifier_release.id}


def _passages(
    classification: Classification, turn: Turn, rule: IntentRule, models: ServedModels
) -> list[RetrievedPassage]:
    query = _query(classification, turn.message.text, rule, models)
    return retrieve(query, limit=settings.RETRIEVAL_PASSAGES, floor=settings.RETRIEVAL_FLOOR)


def _classify(turn: Turn, models: ServedModels) -> Classification | None:
    """None where the message has no text."""
    text = turn.message.text
    if not text:
        return None
    turn.message.language = certain_language(text)
    return models.classifier.classify_one(text)


def _foreign(message: Message) -> str:
    """The message's language where that is certain and none that the models have (`*`: they have all)."""
    known = settings.MODEL_LANGUAGES
    return "" if message.language in known or "*" in known else message.language


def _history(turn: Turn, earlier: list[Message], rules: Mapping[str, IntentRule]) -> policy.History:
    replies = [message for message in earlier if message.role == Message.Role.BOT and not message.stopped]
    misses = 0
    for reply in reversed(replies):
        if reply.turn is None or not reply.turn.is_miss:
            break
        misses += 1
    offered: dict[str, str] = {}
    if replies:
        slugs = {_question(rule): slug for slug, rule in rules.items()}
        slugs |= dict.fromkeys(all_forms(wording.TALK_TO_A_PERSON), policy.PERSON)
        offered = {text: slugs[text] for text in replies[-1].quick_replies if text in slugs}
    told = bool(_foreign(turn.message)) and selectors.was_decided(turn.conversation_id, policy.ONLY_ENGLISH)
    return policy.History(misses, told_only_english=told, offered=offered)


def _question(rule: IntentRule) -> str:
    return rule.question or rule.name


def _explained(prediction: Prediction | None, action: policy.Action, rules: Mapping[str, IntentRule]) -> dict[str, Any]:
    """What the turn keeps of the decision, for reviewers and for training."""
    actions = {
        policy.Answer: Turn.Action.ANSWER,
        policy.Generate: Turn.Action.GENERATE,
        policy.Clarify: Turn.Action.CLARIFY,
        policy.OfferPerson: Turn.Action.CLARIFY,
        policy.HandOff: Turn.Action.HANDOFF,
        policy.CannotRead: Turn.Action.CLARIFY,
        policy.OnlyEnglish: Turn.Action.CLARIFY,
    }
    decision = {"action": actions[type(action)], "reason": action.reason[:200]}
    if prediction is None:
        return decision
    followed = getattr(action, "intent", "") or (prediction.best.intent if prediction.ranking else "")
    return {
        "intent_id": _intent_row(followed, rules),
        "confidence": next((ranked.confidence for ranked in prediction.ranking if ranked.intent == followed), None),
        "out_of_scope": prediction.out_of_scope,
        "prediction": record_of(prediction),
        "is_miss": isinstance(action, policy.Clarify | policy.OfferPerson),
        **decision,
    }


def _intent_row(slug: str, rules: Mapping[str, IntentRule]) -> int | None:
    """The intent's row; one that was taken out of the catalogue is not among the rules."""
    if slug in rules:
        return rules[slug].pk
    return Intent.objects.filter(slug=slug).values_list("pk", flat=True).first()


def _said(action: policy.Action, rules: Mapping[str, IntentRule], turn: Turn) -> Draft:
    """The reply of every action but Generate, which the model writes."""
    language = turn.message.language
    match action:
        case policy.Answer(text=text):
            return Draft(text)
        case policy.Clarify(intents=intents, out_of_scope=out_of_scope):
            choices = [_question(rules[slug]) for slug in intents]
            text = wording.OUT_OF_SCOPE if out_of_scope else wording.DID_YOU_MEAN
            return _offering(text, language, choices)
        case policy.OfferPerson():
            return _offering(wording.OFFER_A_PERSON, language)
        case policy.CannotRead():
            return _offering(wording.CANNOT_READ, language)
        case policy.OnlyEnglish():
            return _offering(wording.ONLY_ENGLISH, language)
        case policy.HandOff(intent=intent):
            approved = rules[intent].approved_answer.strip() if intent in rules else ""
            told = handed_over(turn.conversation, language)
            return Draft(f"{approved}\n\n{told}" if approved else told, hands_over=True)
        case policy.Generate():
            return Draft()


def _offering(text: str, language: str, choices: Sequence[str] = ()) -> Draft:
    """What `wording` says in the customer's language, with the offer of a person below it."""
    return Draft(translated(text, language), [*choices, translated(wording.TALK_TO_A_PERSON, language)])


def _query(classification: Classification, text: str, rule: IntentRule, models: ServedModels) -> np.ndarray:
    """What to look for: half the customer's words, which say what matters to them, half the intent's own question.

    Customers write "didnt get it yet??"; the question names the matter in the words of the articles. On the demo
    shop's phrases this finds the right article first in 95 % instead of 74 % (tests/benchmarks/bench_retrieval.py).
    """
    known = classification.embedding
    embedding = models.encoder.encode([text])[0] if known is None else known
    blend = embedding + question_embedding(models.encoder, _question(rule))
    length = float((blend @ blend) ** 0.5)
    return blend / length if length else embedding


# Questions change when somebody edits the catalogue, which gives another key; the shop has some dozens of them.
@lru_cache(maxsize=512)
def question_embedding(encoder: Encoder, question: str) -> np.ndarray:
    """An intent's own question, embedded once."""
    return encoder.encode([question])[0]


def _source(passage: RetrievedPassage) -> dict[str, Any]:
    return {
        "passage_id": passage.passage_id,
        "title": passage.title if passage.heading in ("", passage.title) else f"{passage.title}: {passage.heading}",
        "url": passage.url,
        "passage": passage.text,
        "score": round(passage.score, 4),
    }


def _prompt(
    action: policy.Generate,
    passages: list[RetrievedPassage],
    earlier: list[Message],
    turn: Turn,
    models: ServedModels,
) -> Prompt:
    sides = {Message.Role.CUSTOMER: "user", Message.Role.BOT: "assistant", Message.Role.AGENT: "assistant"}
    said = [message for message in earlier if message.text]
    turns = [Utterance(sides[message.role], message.text) for message in said if message.role in sides]  # type: ignore[index,arg-type]
    is_foreign = turn.message.language not in ("", "en") and not _foreign(turn.message)
    asked = [*turns, Utterance("user", turn.message.text)]
    return grounded_prompt(models, action.guidance, passages, asked, ANSWER_THEIRS if is_foreign else "")


def grounded_prompt(
    models: ServedModels, guidance: str, passages: list[RetrievedPassage], turns: list[Utterance], manner: str = ""
) -> Prompt:
    """What the served generator is asked with."""
    return models.engine.prompts.build(
        system=SYSTEM_TEMPLATE.format(shop=load_shop().name) + manner,
        guidance=guidance,
        passages=[GroundingPassage(passage.title, passage.text) for passage in passages],
        turns=turns,
    )


def _guard(action: policy.Generate, passages: list[RetrievedPassage], turn: Turn) -> GroundednessGuard:
    """Keeps the reply to the passages of its prompt; what the shop itself says in its guidance is no invention."""
    sources = Sources(
        [GroundingPassage(passage.title, passage.text) for passage in passages],
        question=turn.message.text,
        known=[load_shop().name, action.guidance],
    )
    return GroundednessGuard(sources, Mode(settings.GROUNDEDNESS))


def _stream(
    prompt: Prompt,
    turn: Turn,
    active: ActiveTurn,
    models: ServedModels,
    watch: Stopwatch,
    guard: GroundednessGuard,
    write: Callable[[str], None],
) -> Draft:
    sampling = SamplingParams(
        max_tokens=settings.REPLY_MAX_TOKENS,
        deadline_s=settings.REPLY_DEADLINE_S,
        temperature=RETRY_TEMPERATURE if turn.is_retry else 0.0,
        seed=turn.number if turn.is_retry else None,
        stop=NEXT_QUESTION,
    )
    repetition = RepetitionFilter()
    text = ""
    with watch.stage("generate"):
        generation = models.engine.submit(prompt, sampling)
        active.attach(generation)
        for chunk in generation:
            new = guard.feed(repetition.feed(chunk.text))
            text += new
            write(new)
            if new and "customer_wait" not in watch.measured:
                watch.since("customer_wait", turn.created_at)
            if repetition.looping:
                generation.cancel()
                break
    rest = guard.finish(
        repetition.finish(), was_stopped=generation.finish_reason == "cancelled" and not repetition.looping
    )
    text = _tidied(text + rest, was_cut=repetition.looping)
    _note_generation(generation.timings, watch)
    watch.note("dropped_turns", prompt.dropped_turns)
    reason = "repetition" if repetition.looping else generation.finish_reason or "error"
    if reason == "error" or (reason == "deadline" and not text and not guard.checked):
        raise EngineError(f"the engine ended turn {turn.id} with {reason}")
    if (not text or guard.says_nothing) and reason != "cancelled":
        draft = _offering(wording.NO_SOURCE, turn.message.language)
        draft.text = f"{text} {draft.text}".strip()
    else:
        draft = Draft(text)
    if draft.text and "customer_wait" not in watch.measured:
        watch.since("customer_wait", turn.created_at)
    draft.finish_reason, draft.groundedness = reason, guard.record()
    return draft


def _note_generation(taken: Timings, watch: Stopwatch) -> None:
    watch.note("first_token", taken.ttft_s)
    watch.note("chunk_gap_p50", taken.chunk_gap_p50_s)
    watch.note("chunk_gap_p95", taken.chunk_gap_p95_s)
    watch.note("tokens_per_second", taken.tokens_per_s)
    watch.note("prompt_tokens", taken.prompt_tokens)
    watch.note("cached_prompt_tokens", taken.cached_prompt_tokens)
    watch.note("completion_tokens", taken.completion_tokens)


def _tidied(text: str, *, was_cut: bool) -> str:
    """Without the blanks around it; a clause that lost its continuation ends with a full stop."""
    text = text.strip()
    return text.rstrip(",;:") + "." if was_cut and text.endswith((",", ";", ":")) else text


def _finish(turn: Turn, draft: Draft, active: ActiveTurn, record: dict[str, Any]) -> None:
    if active.lost:
        raise LeaseLost(f"turn {turn.pk} attempt {turn.attempt} was given up")
    if active.stop_requested:
        # A hand-over that was stopped has not happened, so nothing may say that it has.
        written = "" if draft.hands_over else draft.text
        delivery.finish_cancelled_turn(turn=turn, text=written, record=record)
        return
    reply = delivery.Reply(
        text=draft.text, quick_replies=draft.quick_replies, hands_over=draft.hands_over, record=record
    )
    delivery.finish_turn(turn=turn, reply=reply)
