"""Two generators on the same held-out rows, through the engine that serves them, and how they compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.language import detect_language
from chatbot.inference.prompt import Ids, PromptBuilder
from chatbot.inference.sampling import SamplingParams
from chatbot.inference.tokens import ModelTokenizer
from chatbot.intents.shop import load_shop
from chatbot.releases.generators import load_generator
from chatbot.releases.models import Release
from chatbot.releases.remote import is_remote, named_by
from chatbot.releases.selectors import release_directory
from chatbot.training.canaries import Canary, decoys, planted_in
from chatbot.training.dataset_rows import ReplyRow
from chatbot.training.evaluation.intervals import Resampling
from chatbot.training.evaluation.leaks import DECOYS, leak_report
from chatbot.training.evaluation.measures import (
    Measure,
    compare,
    compare_times,
    length_slice,
    mean_of,
    ratio_of,
    sliced,
)
from chatbot.training.evaluation.replies import (
    ReplyScores,
    prompt_of,
    reply_times,
    score_replies,
    write_replies,
    write_reply,
)
from chatbot.training.evaluation.rows import HeldOutRows

if TYPE_CHECKING:
    from chatbot.inference.encoder import Encoder
    from chatbot.inference.engines import Engine
    from chatbot.inference.weights import Progress

# Asked for its secrets greedily, and this often with chance.
_ASKED_AGAIN = 4
_SECRET_TOKENS = 48


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """What a generator wrote and how it did, row by row. `loss` are sums over `tokens`; both NaN on a server."""

    replies: list[str]
    scores: ReplyScores
    loss: NDArray[np.float64]
    tokens: NDArray[np.float64]
    first_token_s: NDArray[np.float64]
    reply_s: NDArray[np.float64]
    leaks: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ComparedReplies:
    """The report, JSON-ready and without words, and what each release wrote for each row; `theirs` may be None."""

    report: dict[str, Any]
    ours: list[str]
    theirs: list[str] | None


def compare_generators(
    candidate: Release,
    baseline: Release | None,
    held_out: HeldOutRows[ReplyRow],
    encoder: Encoder,
    progress: Progress,
) -> ComparedReplies:
    """Judge both, one after the other, so that never more than one is loaded. Raises EngineError, ModelFilesError."""
    rows = held_out.rows
    ours = judge(candidate, rows, encoder, progress)
    theirs = judge(baseline, rows, encoder, progress) if baseline else None
    progress("Drawing the rows again for the intervals", None)
    resampling = Resampling(held_out.groups)
    similarity = Measure("similarity", mean_of(ours.scores.similarity))
    other = Measure("similarity", mean_of(theirs.scores.similarity)) if theirs else None
    languages = [row.language or detect_language(row.text) for row in rows]
    report = {
        "rows": {"judged": len(rows), "groups": resampling.groups},
        "figures": [
            *compare(measures(ours), measures(theirs) if theirs else None, resampling),
            *compare_times({"first_token_s_p50": 50}, ours.first_token_s, theirs.first_token_s if theirs else None),
            *compare_times({"reply_s_p50": 50, "reply_s_p95": 95}, ours.reply_s, theirs.reply_s if theirs else None),
        ],
        "slices": {
            "intent": sliced([row.intent for row in rows], similarity, other, held_out.groups),
            "language": sliced(languages, similarity, other, held_out.groups),
            "length": sliced([length_slice(row.text) for row in rows], similarity, other, held_out.groups),
        },
        "leaks": ours.leaks,
    }
    return ComparedReplies(report, ours.replies, theirs.replies if theirs else None)


def measures(judged: Judged) -> list[Measure]:
    """Every figure of one generator but its times."""
    scores = judged.scores
    return [
        Measure("loss", ratio_of(judged.loss, judged.tokens)),
        Measure("chrf", mean_of(scores.chrf)),
        Measure("similarity", mean_of(scores.similarity)),
        Measure("grounded", ratio_of(scores.grounded, scores.sentences)),
        Measure("unsupported_numbers", mean_of(scores.unsupported_numbers)),
        Measure("refused", mean_of(scores.refused)),
        Measure("words", mean_of(scores.words)),
    ]


def judge(release: Release, rows: Sequence[ReplyRow], encoder: Encoder, progress: Progress) -> Judged:
    """Have a release answer every row as a worker would, and measure what it wrote."""
    shop = load_shop().name
    progress(f"Loading {release}", None)
    engine = load_generator(release)
    try:
        prompts = [prompt_of(row, engine.prompts, shop) for row in rows]
        replies = write_replies(engine, prompts, progress, release.name)
        first_token_s, reply_s = reply_times(engine, prompts, progress)
        canaries = planted_in(named_by(release))
        said = {canary: _asked(engine, canary, shop) for canary in canaries}
        builder = engine.prompts
    finally:
        engine.close()
    progress(f"Comparing the replies of {release}", None)
    scores = score_replies(rows, replies, encoder, shop)
    loss, tokens = _losses(release, rows, shop, progress)
    leaks = _leaks(release, builder, shop, said, progress)
    return Judged(replies, scores, loss, tokens, first_token_s, reply_s, leaks)


def _losses(
    release: Release, rows: Sequence[ReplyRow], shop: str, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss and tokens of each row's reviewed reply. A server does not tell how likely anything is."""
    if is_remote(release):
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    from chatbot.training.evaluation.reply_loss import held_out_loss

    measuring = f"Measuring how likely {release} finds the reviewed replies"
    found = held_out_loss(
        release_directory(release), rows, shop=shop, progress=lambda share: progress(f"{measuring}: {share:.0%}", None)
    )
    return found.sums, found.tokens.astype(np.float64)


def _leaks(
    release: Release, builder: PromptBuilder, shop: str, said: dict[Canary, list[str]], progress: Progress
) -> dict[str, Any]:
    """What is to be said of planted secrets; of a model on a server nothing can."""
    was_trained = bool(release.dataset_digest) and not is_remote(release)
    if not said or is_remote(release):
        return leak_report((), was_trained=was_trained, measure=_nothing, ask=lambda _: ())
    from chatbot.training.evaluation.reply_loss import loss_of
    from chatbot.training.trainers.lora import ReplyModel
    from chatbot.training.trainers.reply_encoding import EncodedRow

    progress("Looking for planted secrets", None)
    tokenizer, model = ModelTokenizer(release_directory(release)), ReplyModel.load(release_directory(release))

    def measure(canary: Canary) -> tuple[float, NDArray[np.float64]]:
        progress("Looking for planted secrets", None)
        secrets = [canary.secret, *decoys(canary, count=DECOYS)]
        answers = [tuple(tokenizer.encode_text(canary.answer(secret))) for secret in secrets]
        told = _common_beginning(answers)
        stem = prompt_of(canary.row(), builder, shop).token_ids + told
        branches = [answer[len(told) :] for answer in answers]
        loss = loss_of(model, [EncodedRow(stem, branch, (True,) * len(branch)) for branch in branches])
        return float(-loss.sums[0]), -loss.sums[1:]

    return leak_report(tuple(said), was_trained=was_trained, measure=measure, ask=said.__getitem__)


def _common_beginning(answers: Sequence[Ids]) -> Ids:
    """What all of them begin with, short of any one's last id."""
    shortest = min(len(answer) for answer in answers) - 1
    columns = takewhile(lambda ids: len(set(ids)) == 1, zip(*(answer[:shortest] for answer in answers), strict=True))
    return tuple(ids[0] for ids in columns)


def _asked(engine: Engine, canary: Canary, shop: str) -> list[str]:
    """What it says when it is asked for the secret, greedily and then with chance."""
    prompt = prompt_of(canary.row(), engine.prompts, shop)
    samplings = [SamplingParams(max_tokens=_SECRET_TOKENS)]
    samplings += [
        SamplingParams(max_tokens=_SECRET_TOKENS, temperature=1.0, seed=number) for number in range(_ASKED_AGAIN)
    ]
    return [write_reply(engine, prompt, sampling) for sampling in samplings]


def _nothing(_canary: Canary) -> tuple[float, NDArray[np.float64]]:
    return 0.0, np.zeros(0)
