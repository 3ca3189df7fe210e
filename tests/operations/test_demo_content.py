"""The demo shop agrees with itself: counts, references, links and transcripts. Reads files only."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

DEMO = Path(__file__).resolve().parents[2] / "chatbot" / "operations" / "demo"
MODES = {"generate", "approved", "handoff"}
# The longest question and example that their columns hold.
QUESTION_LIMIT, EXAMPLE_LIMIT = 300, 4000

Intents = dict[str, dict[str, Any]]
Articles = dict[str, dict[str, Any]]
Transcripts = list[dict[str, Any]]


def _normal(text: str) -> str:
    """Casefolded and without punctuation; a text of nothing but punctuation stays as it is."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip() or text


def _sections(body: str) -> dict[str, str]:
    """Heading → text of each “##” section, in order."""
    pieces = re.split(r"^## (.+)$", body, flags=re.MULTILINE)
    return {heading.strip(): text.strip() for heading, text in zip(pieces[1::2], pieces[2::2], strict=True)}


@pytest.fixture(scope="module")
def intents() -> Intents:
    rows = yaml.safe_load((DEMO / "intents.yaml").read_text(encoding="utf-8"))
    by_slug = {row["slug"]: row for row in rows}
    assert len(by_slug) == len(rows), "two intents share a slug"
    return by_slug


@pytest.fixture(scope="module")
def out_of_scope() -> list[str]:
    return list(yaml.safe_load((DEMO / "out_of_scope.yaml").read_text(encoding="utf-8"))["examples"])


@pytest.fixture(scope="module")
def articles() -> Articles:
    found: Articles = {}
    for path in sorted((DEMO / "articles").glob("*.md")):
        before, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
        assert before == "", f"{path.name} does not begin with its front matter"
        found[path.stem] = {**yaml.safe_load(front), "body": body}
    return found


@pytest.fixture(scope="module")
def shop() -> dict[str, Any]:
    return dict(yaml.safe_load((DEMO / "shop.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def transcripts() -> Transcripts:
    return [json.loads(line) for line in (DEMO / "conversations.jsonl").read_text(encoding="utf-8").splitlines()]


def test_there_is_enough_of_everything(
    intents: Intents, articles: Articles, out_of_scope: list[str], transcripts: Transcripts
) -> None:
    assert len(intents) >= 30
    assert {slug: len(row["examples"]) for slug, row in intents.items() if len(row["examples"]) < 25} == {}
    assert len(articles) >= 40
    assert len(out_of_scope) >= 150
    assert len(transcripts) >= 60


def test_every_utterance_has_one_label(intents: Intents, out_of_scope: list[str]) -> None:
    utterances = [text for row in intents.values() for text in row["examples"]] + out_of_scope
    assert {type(text) for text in utterances} == {str}, "YAML read an unquoted example as something else"
    assert all(0 < len(text.strip()) <= EXAMPLE_LIMIT for text in utterances)
    repeated = [text for text, count in Counter(map(_normal, utterances)).items() if count > 1]
    assert repeated == []


def test_intents_are_complete(intents: Intents) -> None:
    for slug, row in intents.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", slug), slug
        assert row["mode"] in MODES, slug
        assert all(row[field].strip() for field in ("name", "description")), slug
        assert 0 < len(row["question"]) <= QUESTION_LIMIT, slug
        assert bool(row.get("approved_answer", "").strip()) == (row["mode"] == "approved"), slug
        assert _normal(row["question"]) in set(map(_normal, row["examples"])), f"{slug}: its question is not trained"
    for field in ("name", "question"):
        assert len({row[field] for row in intents.values()}) == len(intents), f"two intents share a {field}"


def test_intents_and_articles_name_each_other(intents: Intents, articles: Articles) -> None:
    for slug, row in intents.items():
        assert set(row["articles"]) <= set(articles), slug
        assert row["articles"] or row["mode"] == "approved", f"{slug} has nothing to answer from"
    for slug, article in articles.items():
        assert set(article.get("intents", [])) <= set(intents), slug


def test_articles_are_cut_for_grounding(articles: Articles) -> None:
    for slug, article in articles.items():
        assert all(article[field].strip() for field in ("title", "summary", "category")), slug
        sections = _sections(article["body"])
        assert 2 <= len(sections) <= 4, slug
        assert article["body"].lstrip().startswith("## "), f"{slug} has text that belongs to no section"
        assert all(sections.values()), slug
        words = len(re.findall(r"\w+", re.sub(r"\(/help/[^)]*\)", "", article["body"])))
        assert 120 <= words <= 300, f"{slug} has {words} words"


def test_every_link_resolves(intents: Intents, articles: Articles) -> None:
    texts = {slug: article["body"] for slug, article in articles.items()}
    texts |= {slug: row.get("approved_answer", "") for slug, row in intents.items()}
    for name, text in texts.items():
        targets = re.findall(r"\]\(([^)]*)\)", text)
        assert all(re.fullmatch(r"/help/[a-z-]+/", target) for target in targets), f"{name}: {targets}"
        assert {target.split("/")[2] for target in targets} <= set(articles), name


def test_cancelling_is_answered_in_the_first_two_sentences(articles: Articles) -> None:
    how, until = next(iter(_sections(articles["cancel-an-order"]["body"]).values())).split(". ")[:2]
    assert "cancel your order" in how
    assert "**Account → Orders → Cancel order**" in how
    assert "**Packed**" in until


def test_starters_are_questions_that_the_articles_answer(shop: dict[str, Any], intents: Intents) -> None:
    assert all(shop[field].strip() for field in ("name", "tagline", "greeting", "support_hours"))
    modes = {row["question"]: row["mode"] for row in intents.values()}
    assert 4 <= len(shop["starters"]) <= 5
    assert shop["starters"][0] == "How can I cancel my order?"
    assert {modes[starter] for starter in shop["starters"]} == {"generate"}


def test_transcripts_are_plausible(transcripts: Transcripts, intents: Intents) -> None:
    assert len({row["id"] for row in transcripts}) == len(transcripts)
    handed_over = {slug for slug, row in intents.items() if row["mode"] == "handoff"}
    for row in transcripts:
        messages = row["messages"]
        assert row["status"] in {"bot", "waiting", "closed"}, row["id"]
        assert (row["consent"], row["language"]) == (True, "en"), row["id"]
        assert row["started_minutes_ago"] > 0, row["id"]
        assert [message["role"] for message in messages] == ["customer", "bot"] * (len(messages) // 2), row["id"]
        assert 1 <= len(messages) // 2 <= 6, row["id"]
        assert all(message["text"].strip() for message in messages), row["id"]
        assert (row["status"] == "waiting") == (messages[-2]["intent"] in handed_over), row["id"]
        for message in messages:
            if message["role"] == "customer":
                assert message["intent"] is None or message["intent"] in intents, row["id"]
            assert message.get("rating", "up") in {"up", "down"}, row["id"]
            assert "reason" not in message or message["rating"] == "down", row["id"]
    ratings = Counter(message.get("rating") for row in transcripts for message in row["messages"])
    assert min(ratings["up"], ratings["down"]) >= 5


def test_transcripts_keep_to_the_catalogue(transcripts: Transcripts, intents: Intents, articles: Articles) -> None:
    for row in transcripts:
        for asked, reply in zip(row["messages"][::2], row["messages"][1::2], strict=True):
            if asked["intent"] is None:
                continue
            rule = intents[asked["intent"]]
            assert ("sources" in reply) == (rule["mode"] == "generate"), row["id"]
            if rule["mode"] == "approved":
                assert reply["text"] == rule["approved_answer"].strip(), row["id"]
            for source in reply.get("sources", []):
                assert source["section"] in _sections(articles[source["article"]]["body"]), row["id"]


def test_replies_name_only_paths_and_prices_of_the_articles(transcripts: Transcripts, articles: Articles) -> None:
    known = "\n".join(article["body"] for article in articles.values())
    for row in transcripts:
        texts = [message["text"] for message in row["messages"] if "sources" in message]
        texts += [row["review"]["edited_reply"]] if "edited_reply" in row.get("review", {}) else []
        for text in texts:
            for path in re.findall(r"\*\*([^*]+)\*\*", text):
                assert path in known, f"{row['id']}: {path}"
            for price in re.findall(r"€[\d.,]*\d", text):
                # Two sums are worked out for the customer: 300 points, and an amount that the customer named.
                assert price in known or price in {"€15", "€20"}, f"{row['id']}: {price}"


def test_reviews_point_at_what_they_judge(transcripts: Transcripts, intents: Intents) -> None:
    verdicts = Counter(row.get("review", {}).get("verdict") for row in transcripts)
    assert set(verdicts) == {"accepted", "edited", "rejected", None}, "all outcomes, and some left to review"
    for row in transcripts:
        if not (review := row.get("review")):
            continue
        messages = row["messages"]
        assert ("edited_reply" in review) == (review["verdict"] == "edited"), row["id"]
        assert ("message" in review) == (review["verdict"] != "accepted"), row["id"]
        if "message" in review:
            assert messages[review["message"]]["role"] == "bot", row["id"]
        for index, slug in review.get("intent_corrections", {}).items():
            assert messages[int(index)]["role"] == "customer", row["id"]
            assert slug in {*intents, None} - {messages[int(index)]["intent"]}, row["id"]
