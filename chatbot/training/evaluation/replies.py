"""Replies to held-out rows, written by an engine as a worker has them written, and what is to be said of each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from chatbot.conversations.replies import NEXT_QUESTION
from chatbot.inference.groundedness import Sources, judge, split_sentences
from chatbot.inference.groundedness.checks import DECLINES
from chatbot.inference.groundedness.facts import Kind as FactKind
from chatbot.inference.prompt import SYSTEM_TEMPLATE, Prompt, PromptBuilder, Utterance
from chatbot.inference.repetition import RepetitionFilter
from chatbot.inference.sampling import SamplingParams
from chatbot.training.dataset_rows import ReplyRow

if TYPE_CHECKING:
    from chatbot.inference.encoder import Encoder
    from chatbot.inference.engines import Engine
    from chatbot.inference.weights import Progress

# Written one at a time for their times.
TIMED = 20
# What a reply must not invent to the letter.
_HARD = frozenset(kind.value for kind in FactKind if kind is not FactKind.LABEL)


@dataclass(frozen=True, eq=False, slots=True)
class ReplyScores:
    """Of each reply, [n] each; NaN where a figure does not concern a row."""

    chrf: NDArray[np.float64]
    similarity: NDArray[np.float64]
    grounded: NDArray[np.float64]
    sentences: NDArray[np.float64]
    unsupported_numbers: NDArray[np.float64]
    refused: NDArray[np.float64]
    words: NDArray[np.float64]


def prompt_of(row: ReplyRow, prompts: PromptBuilder, shop: str) -> Prompt:
    """What a worker would have the engine answer; `shop` where the row names none."""
    return prompts.build(
        system=SYSTEM_TEMPLATE.format(shop=row.shop or shop),
        guidance=row.guidance,
        passages=row.passages,
        turns=[*row.history, Utterance("user", row.text)],
    )


def greedy() -> SamplingParams:
    """As workers sample a first answer."""
    return SamplingParams(
        max_tokens=settings.REPLY_MAX_TOKENS, deadline_s=settings.REPLY_DEADLINE_S, stop=NEXT_QUESTION
    )


def write_replies(engine: Engine, prompts: Sequence[Prompt], progress: Progress, name: str) -> list[str]:
    """Each prompt's reply, several at a time, without what the groundedness guard would change. Raises EngineError."""
    replies = []
    with ThreadPoolExecutor(max(1, settings.REPLY_STREAMS)) as pool:
        for done, reply in enumerate(pool.map(lambda prompt: write_reply(engine, prompt), prompts), start=1):
            replies.append(reply)
            progress(f"Writing with {name}: reply {done} of {len(prompts)}", None)
    return replies


def write_reply(engine: Engine, prompt: Prompt, sampling: SamplingParams | None = None) -> str:
    """One reply. Raises EngineError."""
    repetition, text = RepetitionFilter(), ""
    with engine.submit(prompt, sampling or greedy()) as generation:
        for chunk in generation:
            text += repetition.feed(chunk.text)
            if repetition.looping:
                break
    return (text + repetition.finish()).strip()


def reply_times(
    engine: Engine, prompts: Sequence[Prompt], progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds to the first token and to the end, over a spread of the prompts, one at a time."""
    chosen = [prompts[index] for index in np.linspace(0, len(prompts) - 1, min(TIMED, len(prompts))).astype(int)]
    first, whole = [], []
    # The first reply warms what the others use.
    write_reply(engine, chosen[0])
    for prompt in chosen:
        progress("Measuring how long a reply takes", None)
        with engine.submit(prompt, greedy()) as generation:
            for _ in generation:
                pass
        timings = generation.timings
        first.append(timings.ttft_s or timings.total_s or 0.0)
        whole.append(timings.total_s or 0.0)
    return np.array(first), np.array(whole)


def score_replies(rows: Sequence[ReplyRow], replies: Sequence[str], encoder: Encoder, shop: str) -> ReplyScores:
    """chrF (Popović 2015) by sacrebleu and similarity to the reviewed replies; groundedness by the rows' passages."""
    from sacrebleu.metrics.chrf import CHRF

    chrf = CHRF()
    written, wanted = encoder.encode(list(replies)), encoder.encode([row.reply for row in rows])
    judged = [_judged(row, reply, shop) for row, reply in zip(rows, replies, strict=True)]
    return ReplyScores(
        chrf=np.array(
            [chrf.sentence_score(reply, [row.reply]).score for row, reply in zip(rows, replies, strict=True)]
        ),
        similarity=(written.astype(np.float64) * wanted).sum(axis=1),
        grounded=np.array([supported for supported, _, _ in judged]),
        sentences=np.array([sentences for _, sentences, _ in judged]),
        unsupported_numbers=np.array([numbers for _, _, numbers in judged]),
        refused=np.array([float(not reply or DECLINES.search(reply) is not None) for reply in replies]),
        words=np.array([float(len(reply.split())) for reply in replies]),
    )


def _judged(row: ReplyRow, reply: str, shop: str) -> tuple[float, float, float]:
    """Supported sentences, all sentences, and hard facts that the sources lack; NaN without sources."""
    if not row.passages:
        return float("nan"), float("nan"), float("nan")
    sources = Sources(row.passages, question=row.text, known=[row.shop or shop, row.guidance])
    verdicts = [judge(sentence, sources) for sentence in split_sentences(reply) if sentence.strip()]
    invented = sum(reason.kind in _HARD for verdict in verdicts for reason in verdict.reasons)
    return float(sum(verdict.supported for verdict in verdicts)), float(len(verdicts)), float(invented)
