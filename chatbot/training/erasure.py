"""Erasing a person: out of the datasets, the conversations, the logs and the files underneath, with a receipt.

An Erasure is a row first, and the database owns it: whoever finds one open carries it out, and one that was killed is
carried out again. The order makes that safe. Rows of datasets are found by the conversations they came from, so those
go last; and until the receipt is finished the files underneath are seen to anew.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from chatbot.conversations import forgetting, traces
from chatbot.conversations.models import Visitor
from chatbot.exceptions import TracesRemain
from chatbot.training.dataset_erasure import Origins, count_rows, erase_rows
from chatbot.training.dataset_lock import dataset_lock
from chatbot.training.models import Dataset, Erasure, TrainingRun
from chatbot.training.runs import cancel_run
from chatbot.training.selectors import releases_trained_on
from chatbot.training.votes import forget_pairs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """What erasing visitors would delete: records by kind, rows by dataset, and releases that learned from those."""

    counts: dict[str, int]
    rows: dict[str, int]
    releases: list[str]


def preview_erasure(visitor_ids: Collection[UUID]) -> Preview:
    """What there is of the visitors together. Writes nothing."""
    counts: Counter[str] = Counter()
    conversations, examples = set[str](), set[int]()
    for visitor_id in visitor_ids:
        counts += forgetting.belongings(visitor_id)
        origins = _origins(visitor_id)
        conversations |= origins.conversations
        examples |= origins.examples
    rows = count_rows(Origins(frozenset(conversations), frozenset(examples)))
    return Preview(dict(counts), rows, _trained_on(rows))


def erasures_of(visitor_id: str) -> list[Erasure]:
    """The receipts for a visitor who may be gone, the newest first."""
    return list(Erasure.objects.filter(visitor_digest=_digest(visitor_id)))


def request_erasure(*, visitor: Visitor, requested_by: User | None) -> Erasure:
    """Keep the wish to erase the visitor; the sweeper's process carries it out, or `carry_out` at once.

    Asking twice while the first is open gives the first.
    """
    digest = _digest(str(visitor.pk))
    erasure, _ = Erasure.objects.get_or_create(
        visitor=visitor.pk, defaults={"visitor_digest": digest, "requested_by": requested_by}
    )
    return erasure


def open_erasures() -> list[Erasure]:
    """Those that wait or were interrupted, the oldest first."""
    return list(Erasure.objects.filter(finished_at=None).order_by("id"))


def carry_out(erasure: Erasure) -> Erasure:
    """Erase the visitor and finish the receipt; what an interrupted attempt has done already is not done again.

    Raises TracesRemain where a broker or database does not let go of what was deleted; the receipt stays open and
    says so, and carrying it out again sees to the rest.
    """
    if erasure.visitor is not None:
        forgetting.end_turns(erasure.visitor)
    # No dataset may be frozen between the moment when rows are taken out and the one when conversations are gone.
    with dataset_lock():
        erasure.refresh_from_db()
        if not erasure.is_open:
            return erasure
        if erasure.visitor is not None:
            _erase(erasure, erasure.visitor)
        try:
            traces.scrub_broker()
            traces.scrub_database()
        except TracesRemain as problem:
            Erasure.objects.filter(pk=erasure.pk).update(problem=str(problem)[:400])
            raise
        erasure.finished_at, erasure.problem = timezone.now(), ""
        erasure.save(update_fields=["finished_at", "problem"])
    logger.info("%s is done: %s", erasure, erasure.counts)
    return erasure


def carry_out_open() -> int:
    """For the sweeper's process: carry out whatever waits. Returns how many were finished."""
    finished = 0
    for erasure in open_erasures():
        try:
            carry_out(erasure)
            finished += 1
        except TracesRemain as problem:
            logger.error("%s has not ended: %s", erasure, problem)
    return finished


def digests_before_erasures() -> set[str]:
    """Of all datasets that rows were taken out of: a release that names one of these has learned erased rows too."""
    erased = Dataset.objects.filter(erased_at__isnull=False).values_list("former_digests", flat=True)
    return {digest for digests in erased for digest in digests}


def _erase(erasure: Erasure, visitor_id: UUID) -> None:
    origins = _origins(visitor_id)
    erase_rows(origins=origins, erasure=erasure)
    _stop_runs_on(erasure.datasets)
    with transaction.atomic():
        pairs = forget_pairs(conversation_ids=origins.conversations)
        found = {**forgetting.forget_visitor(visitor_id), **({"pairs of replies to vote on": pairs} if pairs else {})}
        erasure.counts = {**erasure.counts, **found}
        erasure.releases = _trained_on(erasure.datasets)
        erasure.visitor = None
        erasure.save(update_fields=["counts", "releases", "visitor"])


def _stop_runs_on(datasets: Collection[str]) -> None:
    """What has read the rows would write down what came of them. An evaluation names its dataset by id."""
    named = Dataset.objects.filter(name__in=datasets).values_list("pk", flat=True)
    affected = {*datasets, *named}
    for run in TrainingRun.objects.filter(status=TrainingRun.Status.RUNNING):
        if run.parameters.get("dataset") in affected:
            cancel_run(run_id=run.pk)


def _origins(visitor_id: UUID) -> Origins:
    conversations = frozenset(str(pk) for pk in forgetting.conversation_ids(visitor_id))
    return Origins(conversations, frozenset(forgetting.examples_made_from(visitor_id)))


def _trained_on(datasets: Iterable[str]) -> list[str]:
    named = Dataset.objects.filter(name__in=list(datasets)).defer("manifest")
    return sorted({release.name for dataset in named for release in releases_trained_on(dataset)})


def _digest(visitor_id: str) -> str:
    return hashlib.sha256(visitor_id.strip().lower().encode()).hexdigest()
