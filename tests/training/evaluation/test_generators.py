"""Two generators on the same rows, with real engines and tiny models; and the votes on what they wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django import Settings

from chatbot.exceptions import Conflict
from chatbot.inference.prompt import GroundingPassage
from chatbot.operations.staff import sync_groups
from chatbot.training.dataset_rows import Origin, ReplyRow
from chatbot.training.evaluation.replies import score_replies
from chatbot.training.evaluation.rows import held_out_rows
from chatbot.training.evaluations import evaluate_release
from chatbot.training.models import Evaluation, ReplyPair, ReplyVote
from chatbot.training.votes import ballot_of, forget_pairs, next_ballot, tally, vote
from tests.releases.shelf import ENCODER
from tests.releases.tiny_generators import store_generator_writing

pytestmark = pytest.mark.django_db

ARTICLE = GroundingPassage("Cancel an order", "You can cancel within 30 minutes. Open Account, then Orders.")
ROWS = [
    ReplyRow(
        id=f"row-{number}",
        text=f"can i cancel order {number}",
        reply="AB AB You can cancel within 30 minutes.",
        passages=(ARTICLE,),
        intent="cancel_order",
        origin=Origin(conversation=f"conversation-{number // 2}"),
    )
    for number in range(6)
]


@pytest.fixture
def evaluation(shelf: Path, settings: Settings) -> Evaluation:
    settings.KV_CACHE_MIB, settings.REPLY_MAX_TOKENS, settings.REPLY_STREAMS = 32, 12, 2
    return evaluate_release(
        candidate=store_generator_writing(shelf, "AB", name="generator-0002"),
        baseline=store_generator_writing(shelf, "XY", name="generator-0001"),
        held_out=held_out_rows("rows", ROWS),
    )


def test_figures_are_of_what_each_wrote_and_kept_without_words(evaluation: Evaluation) -> None:
    figures = {figure["name"]: figure for figure in evaluation.report["figures"]}
    assert figures["chrf"]["candidate"]["value"] > figures["chrf"]["baseline"]["value"]
    assert figures["loss"]["candidate"]["value"] > 0
    assert figures["reply_s_p50"]["ratio"]["value"] > 0
    assert evaluation.report["rows"]["judged"] == 6
    assert evaluation.report["rows"]["groups"] == 3
    assert evaluation.report["rows"]["untold"] == ["candidate", "baseline"]
    assert evaluation.report["slices"]["intent"][0]["few"]
    assert evaluation.report["leaks"]["planted"] == 0
    assert {gate["rule"] for gate in evaluation.gates} == {"rows", "overall", "latency", "leaks"}
    assert "can i cancel" not in json.dumps(evaluation.report)
    pairs = list(ReplyPair.objects.filter(evaluation=evaluation))
    assert len(pairs) == 6
    assert all(set(pair.candidate_reply) <= set("AB") and set(pair.baseline_reply) <= set("XY") for pair in pairs)
    assert pairs[0].sources == [{"title": ARTICLE.title, "text": ARTICLE.text}]


def test_replies_are_judged_by_their_sources_and_the_reviewed_ones() -> None:
    replies = [
        "You can cancel within 30 minutes.",
        "You can cancel within 90 minutes. It costs 5 euros.",
        "I do not know.",
    ]
    scores = score_replies(ROWS[:3], replies, ENCODER, "the shop")
    assert list(scores.grounded[:2]) == [1.0, 0.0]
    assert list(scores.sentences[:2]) == [1.0, 2.0]
    assert scores.unsupported_numbers[0] == 0
    assert scores.unsupported_numbers[1] >= 2
    assert list(scores.refused) == [0.0, 0.0, 1.0]
    assert scores.chrf[0] > scores.chrf[2]
    assert scores.similarity[0] > scores.similarity[2]


# --- Votes ----------------------------------------------------------------------------------------


@pytest.fixture
def judged(shelf: Path) -> Evaluation:
    """An evaluation with pairs, as far as votes go."""
    candidate = store_generator_writing(shelf, "AB", name="generator-0002")
    evaluation = Evaluation.objects.create(
        candidate=candidate,
        baseline=store_generator_writing(shelf, "XY", name="generator-0001"),
        source="rows",
        rows_digest="0" * 64,
        report={"kind": "generator", "candidate": "c", "baseline": "b", "figures": [], "rows": _rows(), "leaks": {}},
    )
    for number in range(20):
        ReplyPair.objects.create(
            evaluation=evaluation,
            row=f"row-{number}",
            conversation=f"conversation-{number}",
            question="Where <i>is</i> it?",
            candidate_reply=f"ours {number}",
            baseline_reply=f"theirs {number}",
        )
    return evaluation


def _rows() -> dict[str, object]:
    return {"judged": 20, "given": 20, "groups": 20, "source": "rows", "repeats": 0, "seen": {}, "untold": []}


def voter(name: str, group: str = "support") -> User:
    sync_groups()
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def test_the_order_is_drawn_for_each_pair_and_voter_and_stays(judged: Evaluation) -> None:
    one, other = voter("one"), voter("other")
    pairs = list(judged.pairs.all())
    firsts = [ballot_of(pair, one).candidate_first for pair in pairs]
    assert set(firsts) == {True, False}
    assert firsts == [ballot_of(pair, one).candidate_first for pair in pairs]
    assert firsts != [ballot_of(pair, other).candidate_first for pair in pairs]
    for pair in pairs:
        ballot = ballot_of(pair, one)
        assert ballot.replies[0].startswith("ours") == ballot.candidate_first


def test_a_vote_is_for_the_release_whatever_the_order(judged: Evaluation) -> None:
    user = voter("one")
    for pair in judged.pairs.all():
        first_is_ours = ballot_of(pair, user).candidate_first
        assert vote(pair=pair, voter=user, better="first" if first_is_ours else "second").choice == "candidate"
    result = tally(judged)
    assert (result.wins, result.losses, result.voters) == (20, 0, 1)
    assert result.win_rate is not None
    assert 0.8 < result.win_rate.low < result.win_rate.value == 1.0


def test_nobody_votes_twice_and_pairs_with_few_votes_come_first(judged: Evaluation) -> None:
    one, other = voter("one"), voter("other")
    first = next_ballot(evaluation=judged, voter=one)
    assert first is not None
    vote(pair=first.pair, voter=one, better="tie")
    with pytest.raises(Conflict):
        vote(pair=first.pair, voter=one, better="first")
    with pytest.raises(ValueError, match="no choice"):
        vote(pair=judged.pairs.last(), voter=one, better="mine")  # type: ignore[arg-type]
    for _ in range(19):
        ballot = next_ballot(evaluation=judged, voter=other)
        assert ballot is not None
        assert ballot.pair != first.pair
        vote(pair=ballot.pair, voter=other, better="first")
    last = next_ballot(evaluation=judged, voter=other)
    assert last is not None
    assert last.pair == first.pair


def test_the_page_hides_who_wrote_what_and_goes_on_to_the_next(judged: Evaluation) -> None:
    user, client = voter("one"), Client()
    client.force_login(user)
    path = f"/dashboard/evaluations/{judged.pk}/votes/"
    for number in range(20):
        page = client.get(path).content.decode()
        assert f"{number} of 20 judged" in page
        assert "&lt;i&gt;is&lt;/i&gt;" in page
        assert "generator-000" not in page
        ballot = next_ballot(evaluation=judged, voter=user)
        assert ballot is not None
        assert page.index(ballot.replies[0]) < page.index(ballot.replies[1])
        client.post(f"{path}{ballot.pair.pk}/", {"better": "first"})
    assert "You have judged all 20 pairs" in client.get(path).content.decode()
    assert ReplyVote.objects.count() == 20
    assert "Choose the better reply" in (
        client.post(f"{path}{judged.pairs.first().pk}/", {"better": ""}, follow=True).content.decode()  # type: ignore[union-attr]
    )
    shown = client.get(f"/dashboard/evaluations/{judged.pk}/").content.decode()
    assert "Of 20 blind votes" in shown


def test_strangers_and_pairs_of_others_are_refused(judged: Evaluation) -> None:
    pair = judged.pairs.first()
    assert pair is not None
    path = f"/dashboard/evaluations/{judged.pk}/votes/"
    assert Client().get(path).status_code == 302
    client = Client()
    client.force_login(User.objects.create_user("clerk", password="x", is_staff=True))
    assert client.post(f"{path}{pair.pk}/", {"better": "first"}).status_code == 403
    client.force_login(voter("one"))
    assert client.post(f"/dashboard/evaluations/{judged.pk + 1}/votes/{pair.pk}/", {"better": "tie"}).status_code == 404
    assert not ReplyVote.objects.exists()


def test_forgetting_a_conversation_takes_its_pairs_and_votes(judged: Evaluation) -> None:
    pair = judged.pairs.get(conversation="conversation-3")
    vote(pair=pair, voter=voter("one"), better="tie")
    assert forget_pairs(conversation_ids=["conversation-3", "conversation-99"]) == 1
    assert judged.pairs.count() == 19
    assert not ReplyVote.objects.exists()
