"""Writes of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import transaction
from django.utils.text import slugify

from chatbot.exceptions import ImportFailed
from chatbot.intents.labelled_files import LabelledText
from chatbot.intents.models import Example, Intent

# What CLINC150, Rasa and others call texts that no intent should answer.
OUT_OF_SCOPE_LABELS = frozenset({"oos", "out_of_scope", "out-of-scope", "nlu_fallback"})


@dataclass(slots=True)
class ImportOutcome:
    """What an import did, or with a dry run would do. `conflicts` say which texts were left out, and why."""

    new_intents: list[str] = field(default_factory=list)
    new_examples: int = 0
    known_examples: int = 0
    conflicts: list[str] = field(default_factory=list)


def import_examples(*, rows: Iterable[LabelledText], dry_run: bool = False) -> ImportOutcome:
    """Add the intents and examples that are not there yet; doing it twice adds nothing.

    A text that stands under another intent already is left out and reported, never moved. Raises ImportFailed for a
    label that cannot become an intent, or a text that is longer than a message may be; then nothing is changed.
    """
    outcome = ImportOutcome()
    with transaction.atomic():
        intents = {intent.slug: intent for intent in Intent.objects.all()}
        owners = {
            text.casefold(): slug or ""
            for text, slug in Example.objects.order_by("-id").values_list("text", "intent__slug")
        }
        added: list[Example] = []
        for row in rows:
            text = " ".join(row.text.split())
            slug = _slug(row)
            if len(text) > Example._meta.get_field("text").max_length:  # type: ignore[operator]
                raise ImportFailed(f"{_where(row)}the text is longer than a message may be.")
            owner = owners.setdefault(text.casefold(), slug)
            if owner != slug:
                outcome.conflicts.append(f"{_where(row)}“{text}” is {_label(slug)}, but stands under {_label(owner)}")
                continue
            if slug and slug not in intents:
                intents[slug] = Intent(slug=slug, name=_name(slug), question=text[:300])
                outcome.new_intents.append(slug)
            added.append(Example(intent=intents.get(slug), text=text, origin=Example.Origin.IMPORT))
        outcome.new_examples, outcome.known_examples = _store(intents, outcome.new_intents, added, dry_run)
    return outcome


def _store(intents: dict[str, Intent], new: list[str], examples: list[Example], dry_run: bool) -> tuple[int, int]:
    """Store what is new; returns how many examples were and were not."""
    known = {(slug or "", text.casefold()) for slug, text in Example.objects.values_list("intent__slug", "text")}
    fresh: dict[tuple[str, str], Example] = {}
    for example in examples:
        key = (example.intent.slug if example.intent else "", example.text.casefold())
        if key not in known:
            fresh.setdefault(key, example)
    if not dry_run:
        for slug in new:
            intents[slug].save()
        Example.objects.bulk_create(fresh.values())
    return len(fresh), len(examples) - len(fresh)


def _slug(row: LabelledText) -> str:
    label = row.intent.strip()
    if label.lower() in OUT_OF_SCOPE_LABELS:
        return ""
    # Rasa's sub-intents are written with a slash, which an address cannot hold.
    slug = slugify(label.replace("/", "-"))[:80]
    if not slug:
        raise ImportFailed(f"{_where(row)}the label {label!r} has no letters or digits to make a name of.")
    return slug


def _label(slug: str) -> str:
    return slug or "out of scope"


def _name(slug: str) -> str:
    return slug.replace("_", " ").replace("-", " ").capitalize()


def _where(row: LabelledText) -> str:
    return f"line {row.line}: " if row.line else ""
