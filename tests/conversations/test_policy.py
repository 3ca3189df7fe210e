"""Policy: what the bot does, for every kind of message."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatbot.conversations import policy
from chatbot.conversations.policy import (
    Answer,
    CannotRead,
    Clarify,
    Generate,
    HandOff,
    History,
    OfferPerson,
    OnlyEnglish,
    decide,
)
from chatbot.inference.predictions import Prediction, RankedIntent
from chatbot.intents.selectors import IntentRule


def rule(slug: str, mode: str = "generate", approved_answer: str = "") -> IntentRule:
    return IntentRule(
        slug=slug,
        name=slug.title(),
        mode=mode,
        guidance=f"About {slug}.",
        approved_answer=approved_answer,
        question=f"What about {slug}?",
    )


RULES = {
    "cancel": rule("cancel"),
    "refund": rule("refund"),
    "warranty": rule("warranty", "approved", "Two **years**."),
    "person": rule("person", "handoff"),
}


def predicted(*ranking: tuple[str, float], out_of_scope: bool = False) -> Prediction:
    ranked = tuple(RankedIntent(intent, confidence) for intent, confidence in ranking)
    return Prediction(ranked, out_of_scope, 0.9 if out_of_scope else 0.1, 0.5)


def test_a_confident_intent_is_followed_by_its_mode() -> None:
    assert isinstance(decide(predicted(("cancel", 0.9), ("refund", 0.1)), RULES, History()), Generate)
    assert decide(predicted(("warranty", 0.9), ("refund", 0.1)), RULES, History()) == Answer(
        "warranty", "Two **years**.", "understood with 90%"
    )
    assert isinstance(decide(predicted(("person", 0.9), ("refund", 0.1)), RULES, History()), HandOff)


def test_low_confidence_asks_which_of_the_two_best_was_meant() -> None:
    action = decide(predicted(("cancel", 0.4), ("refund", 0.35), ("person", 0.25)), RULES, History())
    assert isinstance(action, Clarify)
    assert action.intents == ("cancel", "refund")
    assert not action.out_of_scope


def test_out_of_scope_asks_however_confident_the_ranking_is() -> None:
    action = decide(predicted(("cancel", 0.99), ("refund", 0.01), out_of_scope=True), RULES, History())
    assert isinstance(action, Clarify)
    assert action.out_of_scope


def test_files_without_a_text_are_said_to_be_unreadable_and_are_no_miss() -> None:
    assert isinstance(decide(None, RULES, History()), CannotRead)
    assert isinstance(decide(None, RULES, History(misses=2)), CannotRead)


def test_a_second_miss_in_a_row_offers_a_person_and_a_third_calls_one() -> None:
    unsure = predicted(("cancel", 0.4), ("refund", 0.35))
    assert isinstance(decide(unsure, RULES, History(misses=1)), OfferPerson)
    assert isinstance(decide(unsure, RULES, History(misses=2)), HandOff), "asking back for ever helps nobody"
    assert isinstance(decide(predicted(("cancel", 0.9)), RULES, History(misses=1)), Generate)


def test_a_quick_reply_is_taken_at_its_word_only_if_it_was_offered() -> None:
    unsure = predicted(("refund", 0.3), ("cancel", 0.3))
    offered = History(misses=1, offered={"What about warranty?": "warranty", "A person": policy.PERSON})
    assert isinstance(decide(unsure, RULES, offered, "What about warranty?"), Answer)
    assert isinstance(decide(unsure, RULES, offered, "A person"), HandOff)
    assert isinstance(decide(unsure, RULES, History(), "What about warranty?"), Clarify)


def test_intents_that_are_no_longer_active_are_passed_over() -> None:
    action = decide(predicted(("retired", 0.6), ("cancel", 0.5)), RULES, History())
    assert isinstance(action, Generate)
    assert action.intent == "cancel"
    assert isinstance(decide(predicted(("retired", 0.9)), RULES, History()), Clarify)


@given(
    st.lists(st.tuples(st.sampled_from([*RULES, "retired"]), st.floats(0, 1)), min_size=1, max_size=5),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_prediction_has_an_action_that_the_catalogue_allows(
    ranking: list[tuple[str, float]], out_of_scope: bool, misses: int
) -> None:
    action = decide(predicted(*ranking, out_of_scope=out_of_scope), RULES, History(misses=misses))
    match action:
        case Answer(intent=intent):
            assert RULES[intent].mode == "approved"
        case Generate(intent=intent):
            assert RULES[intent].mode == "generate"
        case HandOff(intent=""):
            assert misses > 1
        case HandOff(intent=intent):
            assert RULES[intent].mode == "handoff"
        case Clarify(intents=intents):
            assert misses == 0
            assert set(intents) <= set(RULES)
        case OfferPerson():
            assert misses == 1


def test_a_language_that_the_models_do_not_have_is_said_once_and_then_tried_all_the_same() -> None:
    told = decide(predicted(("cancel", 0.9), ("refund", 0.1)), RULES, History(), foreign="de")
    assert told == OnlyEnglish("a language that the models don't have: de")
    again = History(told_only_english=True)
    assert isinstance(decide(predicted(("cancel", 0.9), ("refund", 0.1)), RULES, again, foreign="de"), Generate)
    offered = History(offered={"Mit einem Menschen sprechen": policy.PERSON})
    assert isinstance(decide(predicted(("cancel", 0.9)), RULES, offered, "Mit einem Menschen sprechen", "de"), HandOff)
