"""Blind votes: staff say which of two replies is better without knowing whose is whose."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from chatbot.exceptions import Conflict
from chatbot.training.dataset_rows import ReplyRow
from chatbot.training.evaluation.intervals import Interval, wilson
from chatbot.training.models import Evaluation, ReplyPair, ReplyVote

Choice = ReplyVote.Choice


@dataclass(frozen=True, slots=True)
class Ballot:
    """A pair as one voter sees it. `candidate_first` stays on this side of the page."""

    pair: ReplyPair
    candidate_first: bool

    @property
    def replies(self) -> tuple[str, str]:
        """The first and the second that are shown."""
        ours, theirs = self.pair.candidate_reply, self.pair.baseline_reply
        return (ours, theirs) if self.candidate_first else (theirs, ours)


@dataclass(frozen=True, slots=True)
class Tally:
    """What the votes say. `win_rate` is of the votes that are no ties; None before the first."""

    wins: int
    losses: int
    ties: int
    voters: int
    win_rate: Interval | None

    @property
    def votes(self) -> int:
        return self.wins + self.losses + self.ties


def reply_pairs(rows: Sequence[ReplyRow], ours: Sequence[str], theirs: Sequence[str]) -> list[ReplyPair]:
    """The pairs worth a vote, not stored yet: where both wrote the same there is nothing to choose."""
    return [
        ReplyPair(
            row=row.id[:200],
            conversation=row.origin.conversation[:64],
            question=row.text,
            sources=[{"title": passage.title, "text": passage.text} for passage in row.passages],
            candidate_reply=own,
            baseline_reply=other,
        )
        for row, own, other in zip(rows, ours, theirs, strict=True)
        if own.strip() != other.strip()
    ]


def next_ballot(*, evaluation: Evaluation, voter: User) -> Ballot | None:
    """A pair that the voter has not judged, those with the fewest votes first; None once there is none."""
    voted = ReplyVote.objects.filter(voter=voter).values("pair")
    pairs = ReplyPair.objects.filter(evaluation=evaluation).exclude(pk__in=voted)
    counts = Counter(ReplyVote.objects.filter(pair__evaluation=evaluation).values_list("pair", flat=True))
    chosen = min(pairs, key=lambda pair: (counts[pair.pk], _drawn(pair, voter)), default=None)
    return ballot_of(chosen, voter) if chosen else None


def ballot_of(pair: ReplyPair, voter: User) -> Ballot:
    """The pair as this voter sees it: which reply comes first is drawn for each pair and voter, and stays."""
    return Ballot(pair, candidate_first=_drawn(pair, voter)[-1] % 2 == 0)


@transaction.atomic
def vote(*, pair: ReplyPair, voter: User, better: str) -> ReplyVote:
    """Store which of the replies that were shown is better: `first`, `second` or `tie`.

    Raises ValueError for anything else, Conflict where the voter has judged the pair.
    """
    ballot = ballot_of(pair, voter)
    shown = (Choice.CANDIDATE, Choice.BASELINE) if ballot.candidate_first else (Choice.BASELINE, Choice.CANDIDATE)
    choices = {"first": shown[0], "second": shown[1], "tie": Choice.TIE}
    if better not in choices:
        raise ValueError(f"there is no choice {better!r}")
    cast, is_new = ReplyVote.objects.get_or_create(
        pair=pair,
        voter=voter,
        defaults={"choice": choices[better], "candidate_first": ballot.candidate_first},
    )
    if not is_new:
        raise Conflict("You have judged this pair already.")
    return cast


def tally(evaluation: Evaluation) -> Tally:
    """All votes on the evaluation's pairs."""
    votes = ReplyVote.objects.filter(pair__evaluation=evaluation)
    counts = Counter(votes.values_list("choice", flat=True))
    wins, losses = counts[Choice.CANDIDATE], counts[Choice.BASELINE]
    voters = votes.order_by().values("voter").distinct().count()
    return Tally(wins, losses, counts[Choice.TIE], voters, wilson(wins, wins + losses))


def forget_pairs(*, conversation_ids: Collection[str]) -> int:
    """Delete what was written for rows of these conversations, with the votes on it. Returns how many pairs."""
    pairs = ReplyPair.objects.filter(conversation__in=[str(conversation) for conversation in conversation_ids])
    count = pairs.count()
    pairs.delete()
    return count


def _drawn(pair: ReplyPair, voter: User) -> bytes:
    """Chance that stays the same, so that reloading a page tells nothing."""
    return hashlib.sha256(f"{pair.pk} {voter.pk}".encode()).digest()
