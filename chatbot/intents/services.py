"""Writes of the catalogue."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.db.models import Q

from chatbot.exceptions import ImportFailed, Refused
from chatbot.intents.labelled_files import LabelledText
from chatbot.intents.labels import LONGEST_SLUG, OUT_OF_SCOPE_LABELS, intent_slug, is_out_of_scope, same_label
from chatbot.intents.models import Example, Intent
from chatbot.intents.wording import RowProblems, quoted

__all__ = ["OUT_OF_SCOPE_LABELS", "Conflict", "ImportOutcome", "Move", "Repeat", "create_intent", "import_examples"]

OUT_OF_SCOPE = "out of scope"
# SQLite takes no more than about a thousand values in one statement.
_ROWS_AT_ONCE = 500


@transaction.atomic
def create_intent(*, name: str) -> Intent:
    """A new intent without examples, answered from the help articles.

    Raises:
        Refused: the name cannot be made a slug, or an intent has it already.
    """
    name = " ".join(name.split())
    slug = intent_slug(name)
    if not slug or len(slug) > LONGEST_SLUG:
        raise Refused(f"A name needs letters a–z or digits, and at most {LONGEST_SLUG} of them.")
    if Intent.objects.filter(Q(slug=slug) | Q(name__iexact=name)).exists():
        raise Refused(f"The catalogue has an intent {quoted(name)} already.")
    return Intent.objects.create(name=name, slug=slug)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A row that says what an earlier row of the file says."""

    row: LabelledText
    first_line: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row that was left out, because its text stands under another intent: in the catalogue, or in an earlier row.

    `intent` and `stands_under` are slugs, or “out of scope”; `at_line` is the earlier row's line, 0 for the catalogue.
    """

    row: LabelledText
    intent: str
    stands_under: str
    at_line: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """A row whose text the catalogue had under another intent, and now has under this one."""

    row: LabelledText
    intent: str
    stood_under: str


@dataclass(slots=True)
class ImportOutcome:
    """What an import did, or with a dry run would do, with each row.

    Every row is in exactly one of `added`, `known`, `repeated`, `moved` and `conflicts`. `renamed` tells which slug a
    label became where the two differ; `inactive` are intents of the file that are not trained until somebody makes
    them active.
    """

    new_intents: list[str] = field(default_factory=list)
    added: list[LabelledText] = field(default_factory=list)
    known: list[LabelledText] = field(default_factory=list)
    repeated: list[Repeat] = field(default_factory=list)
    moved: list[Move] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    activated: list[str] = field(default_factory=list)
    inactive: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)


def import_examples(
    *,
    rows: Iterable[LabelledText],
    dry_run: bool = False,
    move: bool = False,
    activate: bool = False,
    source: str = "",
) -> ImportOutcome:
    """Add the intents and examples that are not there yet; doing it twice changes nothing.

    A text that stands under another intent, or out of scope, is left out and reported; with `move` it is moved. Of two
    rows with one text and two intents the first counts, whatever `move` says. With `activate` the file's intents that
    are not active become so.

    Raises ImportFailed, its rows named after `source`, for labels that cannot become an intent, texts that are longer
    than a message may be, and a catalogue that somebody else changes meanwhile; then nothing is changed.
    """
    try:
        with transaction.atomic():
            importer = _Importer(move=move)
            importer.read(list(rows), source)
            importer.note_inactive(activate=activate)
            if not dry_run:
                importer.store()
            return importer.outcome
    except IntegrityError as error:
        raise ImportFailed(
            "Somebody else changed the catalogue in the same moment; nothing was imported. Run the import again."
        ) from error


class _Importer:
    """Sorts rows by what is to be done with them, against one reading of the catalogue."""

    def __init__(self, *, move: bool) -> None:
        self.outcome = ImportOutcome()
        self._move = move
        self._intents = {intent.slug.lower(): intent for intent in Intent.objects.all()}
        # Text → the (intent, id of the example) where it stands.
        self._standing: dict[str, list[tuple[str, int]]] = {}
        for pk, text, slug in Example.objects.order_by("id").values_list("id", "text", "intent__slug"):
            self._standing.setdefault(_key(text), []).append((slug or "", pk))
        # Text → the (intent, line) of the row of this file that counts.
        self._claimed: dict[str, tuple[str, int]] = {}
        self._moved: dict[str, list[int]] = {}
        self._surplus: list[int] = []
        self._used: set[str] = set()
        self._added: list[tuple[str, str]] = []

    def read(self, rows: list[LabelledText], source: str) -> None:
        slugs = self._slugs(rows, source)
        for row in rows:
            self._place(row, slugs[row.intent])

    def note_inactive(self, *, activate: bool) -> None:
        dormant = [slug for slug in sorted(self._used) if slug and not self._intents[slug.lower()].is_active]
        (self.outcome.activated if activate else self.outcome.inactive).extend(dormant)

    def store(self) -> None:
        for slug in self.outcome.new_intents:
            self._intents[slug.lower()].save()
        for slug in self.outcome.activated:
            intent = self._intents[slug.lower()]
            intent.is_active = True
            intent.save(update_fields=["is_active", "updated_at"])
        for slug, examples in self._moved.items():
            for start in range(0, len(examples), _ROWS_AT_ONCE):
                moved = Example.objects.filter(pk__in=examples[start : start + _ROWS_AT_ONCE])
                moved.update(intent=self._intent(slug), origin=Example.Origin.IMPORT)
        for start in range(0, len(self._surplus), _ROWS_AT_ONCE):
            Example.objects.filter(pk__in=self._surplus[start : start + _ROWS_AT_ONCE]).delete()
        Example.objects.bulk_create(
            Example(intent=self._intent(slug), text=text, origin=Example.Origin.IMPORT) for slug, text in self._added
        )

    def _slugs(self, rows: list[LabelledText], source: str) -> dict[str, str]:
        """The slug of every label, empty for out of scope. Raises ImportFailed for what is wrong with any row."""
        longest = Example._meta.get_field("text").max_length or 0
        problems = RowProblems(source)
        slugs: dict[str, str] = {}
        labels: dict[str, str] = {}
        for row in rows:
            if len(" ".join(row.text.split())) > longest:
                problems.add(row.line, f"the text is longer than a message may be ({longest:,} characters)")
            if row.intent in slugs:
                continue
            if is_out_of_scope(row.intent):
                slugs[row.intent] = ""
                continue
            slug = intent_slug(row.intent)
            first = labels.setdefault(slug, row.intent)
            if not slug:
                problems.add(row.line, f"the label {quoted(row.intent)} has no letters a–z or digits to make a name of")
            elif len(slug) > LONGEST_SLUG:
                problems.add(row.line, f"the label {quoted(row.intent)} is longer than {LONGEST_SLUG} characters")
            elif not same_label(first, row.intent):
                problems.add(
                    row.line,
                    f"the labels {quoted(first)} and {quoted(row.intent)} would both become the intent “{slug}”",
                )
            known = self._intents.get(slug)
            slugs[row.intent] = known.slug if known else slug
        problems.raise_if_any()
        self.outcome.renamed = {
            label: slug for label, slug in slugs.items() if slug and slug.lower() != label.strip().lower()
        }
        return slugs

    def _place(self, row: LabelledText, slug: str) -> None:
        outcome, text, key = self.outcome, " ".join(row.text.split()), _key(row.text)
        if key in self._claimed:
            first, line = self._claimed[key]
            if first == slug:
                outcome.repeated.append(Repeat(row, line))
            else:
                outcome.conflicts.append(Conflict(row, slug or OUT_OF_SCOPE, first or OUT_OF_SCOPE, line))
            return
        standing = self._standing.get(key, [])
        stands_under = ", ".join(owner or OUT_OF_SCOPE for owner, _ in standing)
        if not standing:
            self._create_intent(slug, text)
            outcome.added.append(row)
            self._added.append((slug, text))
        elif any(owner == slug for owner, _ in standing):
            outcome.known.append(row)
        elif self._move:
            self._create_intent(slug, text)
            outcome.moved.append(Move(row, slug or OUT_OF_SCOPE, stands_under))
            self._moved.setdefault(slug, []).append(standing[0][1])
            self._surplus += [pk for _, pk in standing[1:]]
        else:
            outcome.conflicts.append(Conflict(row, slug or OUT_OF_SCOPE, stands_under))
            return
        self._claimed[key] = (slug, row.line)
        self._used.add(slug)

    def _create_intent(self, slug: str, text: str) -> None:
        if slug and slug.lower() not in self._intents:
            self._intents[slug.lower()] = Intent(slug=slug, name=_name(slug), question=text[:300])
            self.outcome.new_intents.append(slug)

    def _intent(self, slug: str) -> Intent | None:
        return self._intents[slug.lower()] if slug else None


def _key(text: str) -> str:
    """Texts that the classifier could not tell apart: blanks, case and the way accents are coded aside."""
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()


def _name(slug: str) -> str:
    return slug.replace("_", " ").replace("-", " ").capitalize()
