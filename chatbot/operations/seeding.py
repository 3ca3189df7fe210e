"""The demo shop: its catalogue, help articles and reviewed conversations, from `demo/` into the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.db import transaction

from chatbot.conversations.models import CannedReply
from chatbot.exceptions import FrontdeskError
from chatbot.intents.models import Example, Intent
from chatbot.intents.shop import load_shop
from chatbot.knowledge.models import Article
from chatbot.operations.demo_transcripts import seed_transcripts
from chatbot.sites.models import Site

DEMO_DIR = Path(__file__).resolve().parent / "demo"


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many of each are new."""

    intents: int
    examples: int
    articles: int
    conversations: int


@transaction.atomic
def seed_demo(directory: Path = DEMO_DIR) -> Seeded:
    """Add what is not there yet. What somebody has changed since is left as it is.

    Raises:
        FrontdeskError: a file of the demo shop is missing or damaged; nothing was written.
    """
    try:
        intents, examples = _seed_catalogue(directory)
        _seed_site()
        articles = _seed_articles(directory / "articles")
        _seed_canned_replies(directory)
        return Seeded(intents, examples, articles, seed_transcripts(directory / "conversations.jsonl"))
    except (OSError, yaml.YAMLError, KeyError, ValueError) as error:
        raise FrontdeskError(f"The demo shop in {directory} is damaged: {error!r}") from error


def _seed_catalogue(directory: Path) -> tuple[int, int]:
    known = set(Intent.objects.values_list("slug", flat=True))
    described = [entry for entry in _read_yaml(directory / "intents.yaml") if entry["slug"] not in known]
    fields = ("slug", "name", "description", "mode", "guidance", "approved_answer", "question")
    intents = Intent.objects.bulk_create(
        Intent(**{name: entry.get(name, "") for name in fields}) for entry in described
    )
    examples = [
        Example(intent=intent, text=text)
        for intent, entry in zip(intents, described, strict=True)
        for text in entry["examples"]
    ]
    examples += [Example(text=text) for text in _read_yaml(directory / "out_of_scope.yaml")["examples"]]
    before = Example.objects.count()
    Example.objects.bulk_create(examples, ignore_conflicts=True)
    return len(intents), Example.objects.count() - before


def _seed_site() -> None:
    """One site, of the shop's own name, that no page but ours may embed yet."""
    if not Site.objects.exists():
        Site.objects.create(
            key="shop",
            name=load_shop().name,
            time_zone="Europe/Dublin",
            hours="mon-fri 09:00-18:00\nsat 10:00-16:00",
        )


def _seed_articles(directory: Path) -> int:
    known = set(Article.objects.values_list("slug", flat=True))
    new = [path for path in sorted(directory.glob("*.md")) if path.stem not in known]
    for path in new:
        head, body = _read_article(path)
        article = Article(
            slug=path.stem,
            title=head["title"],
            summary=head.get("summary", ""),
            category=head.get("category", ""),
            body=body,
        )
        # Not the service: its nudge per article would load an encoder for what is indexed together a moment later.
        article.save()
    return len(new)


def _seed_canned_replies(directory: Path) -> None:
    entries = _read_yaml(directory / "canned_replies.yaml")
    CannedReply.objects.bulk_create((CannedReply(**entry) for entry in entries), ignore_conflicts=True)


def _read_article(path: Path) -> tuple[dict[str, Any], str]:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body.strip() + "\n"


def _read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
